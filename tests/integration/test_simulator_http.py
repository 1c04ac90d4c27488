"""Simulators as real servers on loopback: what only sockets, processes and time can show."""

from __future__ import annotations

import http.client
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from tests.support.waiting import wait_until
from worker.errors import UsageError
from worker.simulators.lists import seed_lists
from worker.simulators.running import SIM_TOKEN, RunningSimulator, running, running_all

ROOT = Path(__file__).resolve().parents[2]
PATHS = {"crm": "/lead-lists/", "instantly": "/api/v2/lead-lists/", "lance": "/api/v1/entities/leadlists/"}


def connect(remote: RunningSimulator, timeout_s: float = 10) -> http.client.HTTPConnection:
    """A connection of our own."""
    return http.client.HTTPConnection(urlsplit(remote.base_url).netloc, timeout=timeout_s)


def call(
    remote: RunningSimulator,
    method: str,
    path: str,
    body: Any = None,
    *,
    token: str = SIM_TOKEN,
    timeout_s: float = 10,
) -> tuple[int, Mapping[str, str], bytes]:
    """One call on a fresh connection: status, headers, body."""
    connection = connect(remote, timeout_s)
    try:
        headers = {"Authorization": f"Bearer {token}", "User-Agent": "test"}
        connection.request(method, path, None if body is None else orjson.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, RunningSimulator]]:
    """All three in one process, for the tests of this file."""
    with running_all(seed=1) as simulators:
        yield simulators


@pytest.fixture(params=list(PATHS))
def remote(request: pytest.FixtureRequest, servers: dict[str, RunningSimulator]) -> RunningSimulator:
    """Each of them, as on the first day."""
    one = servers[request.param]
    one.sim_post("reset", {})
    return one


@pytest.fixture
def crm(servers: dict[str, RunningSimulator]) -> RunningSimulator:
    """The CRM, as on the first day."""
    servers["crm"].sim_post("reset", {})
    return servers["crm"]


def test_a_patch_over_the_wire(remote: RunningSimulator) -> None:
    """
    Token, path, JSON in, JSON out; the log and the state know of it.
    """
    (list_id,) = remote.seed([{"name": "Old"}])
    path = PATHS[remote.kind] + list_id

    status, headers, body = call(remote, "PATCH", path, {"name": "Zoë's list"})

    assert (200, "application/json", "Zoë's list") == (status, headers["content-type"], orjson.loads(body)["name"])
    assert str(len(body)) == headers["content-length"]
    assert "Zoë's list" == remote.lead_list(list_id)["name"]
    assert [("PATCH", path, {"name": "Zoë's list"}, "test", 200)] == [
        (row["method"], row["path"], row["body"], row["agent"], row["status"]) for row in remote.calls()
    ]
    assert 401 == call(remote, "GET", path, token="wrong")[0]


def test_three_in_one_process_are_three_remotes(servers: dict[str, RunningSimulator]) -> None:
    """
    Ports, lists and counts of their own.
    """
    for one in servers.values():
        one.sim_post("reset", {})
    servers["crm"].seed([{"name": "Only here"}])

    assert 3 == len({one.base_url for one in servers.values()})
    assert [1, 0, 0] == [len(servers[kind].state()) for kind in ("crm", "instantly", "lance")]


def test_an_answer_that_never_comes(remote: RunningSimulator) -> None:
    """
    The client gives up; the write has been applied, and is in flight until the client has gone.
    """
    (list_id,) = remote.seed([{"name": "Old"}])
    remote.next("timeout_after")
    connection = connect(remote, timeout_s=0.3)
    connection.request(
        "PATCH", PATHS[remote.kind] + list_id, b'{"name":"New"}', {"Authorization": f"Bearer {SIM_TOKEN}"}
    )

    with pytest.raises(TimeoutError):
        connection.getresponse()

    assert ("New", 1) == (remote.lead_list(list_id)["name"], remote.summary()["in_flight"])
    connection.close()
    wait_until(lambda: remote.summary()["in_flight"] == 0, what="the simulator sees that the client has gone")


def test_a_connection_that_breaks_inside_the_answer(remote: RunningSimulator) -> None:
    """
    The announced length is not reached; the write has been applied.
    """
    (list_id,) = remote.seed([{"name": "Old"}])
    remote.next("cut_after")

    with pytest.raises(http.client.IncompleteRead):
        call(remote, "PATCH", PATHS[remote.kind] + list_id, {"name": "New"})

    assert "New" == remote.lead_list(list_id)["name"]
    assert 200 == call(remote, "GET", PATHS[remote.kind] + list_id)[0]


def test_no_content_has_no_body(servers: dict[str, RunningSimulator]) -> None:
    """
    204 carries neither body nor length, and the connection goes on.
    """
    lance = servers["lance"]
    lance.sim_post("reset", {})
    first, second = lance.seed([{"name": "A"}, {"name": "B"}])
    connection = connect(lance)
    for list_id in (first, second):
        connection.request("DELETE", PATHS["lance"] + list_id, headers={"Authorization": f"Bearer {SIM_TOKEN}"})
        answer = connection.getresponse()
        assert (204, None, b"") == (answer.status, answer.getheader("content-length"), answer.read())
    connection.close()


def test_a_page_of_html(crm: RunningSimulator) -> None:
    """
    With status 200 and its content type.
    """
    crm.switch(answer_shape="html")

    status, headers, body = call(crm, "GET", "/lead-lists")

    assert (200, "text/html; charset=utf-8", True) == (status, headers["content-type"], body.startswith(b"<!doctype"))


def test_latency_is_waited_for_and_holds_nobody_up(crm: RunningSimulator) -> None:
    """
    Ten calls of 0.3 s at once take 0.3 s, not 3.
    """
    crm.switch(latency_s=0.3)
    began = time.monotonic()

    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(lambda _: call(crm, "GET", "/lead-lists")[0], range(10)))

    assert [200] * 10 == statuses
    assert 0.3 <= time.monotonic() - began < 1.5


def test_answers_leave_at_once(crm: RunningSimulator) -> None:
    """
    No 40 ms of Nagle's algorithm between header and body: a hundred calls in far less than four seconds.
    """
    connection = connect(crm)
    began = time.monotonic()
    for _ in range(100):
        connection.request("GET", "/lead-lists", headers={"Authorization": f"Bearer {SIM_TOKEN}"})
        assert connection.getresponse().read()
    connection.close()

    assert time.monotonic() - began < 2


def test_two_writes_of_one_list_at_once_are_seen(remote: RunningSimulator) -> None:
    """
    Counted from arrival until the answer was sent; one after the other, or of two lists, they are fine.
    """
    remote.switch(latency_s=0.3)
    one, two = (PATHS[remote.kind] + list_id for list_id in remote.seed([{"name": "A"}, {"name": "B"}]))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda path: call(remote, "PATCH", path, {"name": "New"}), [one, two]))
        assert 0 == remote.summary()["overlaps"]
        list(pool.map(lambda path: call(remote, "PATCH", path, {"name": "Newer"}), [one, one]))

    assert (1, 0) == tuple(remote.summary()[word] for word in ("overlaps", "in_flight"))
    assert call(remote, "PATCH", one, {"name": "Newest"})[0] == 200
    assert 1 == remote.summary()["overlaps"]


def test_the_strict_window_counts_over_all_connections(crm: RunningSimulator) -> None:
    """
    Forty calls by eight clients within a long window of thirty: exactly thirty are served.
    """
    crm.switch(limits=[[30, 3600]], retry_after="seconds")

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: call(crm, "GET", "/lead-lists")[0], range(40)))

    assert (30, 10) == (statuses.count(200), statuses.count(429))
    assert ({"3600": 40}, 10) == tuple(crm.summary()[word] for word in ("max_in_window", "rate_limited"))


def test_twenty_thousand_lists_in_one_seed(remote: RunningSimulator) -> None:
    """
    Taken in one call, and a list of a hundred thousand members in one PATCH where the product takes them.
    """
    ids = remote.seed(seed_lists(20_000, Random(1)))
    assert 20_000 == len(set(ids)) == remote.summary()["lists"]

    if remote.kind != "instantly":
        word = "members_added" if remote.kind == "crm" else "personIds"
        members = [f"lead_{n}" for n in range(100_000)]
        assert 200 == call(remote, "PATCH", PATHS[remote.kind] + ids[0], {word: members}, timeout_s=60)[0]


def test_bad_controls_raise_one_sentence(crm: RunningSimulator) -> None:
    """
    The handle passes on what the simulator says.
    """
    with pytest.raises(UsageError, match="did you mean 'latency_s'"):
        crm.switch(latency=1)
    with pytest.raises(UsageError, match="did you mean 'latency_s'"), running("crm", latency=1):
        pass


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes webhooks in; says 503 to the first."""

    got: list[tuple[str, Mapping[str, str], Any]]

    def do_POST(self) -> None:
        """Remember it."""
        body = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
        self.got.append((self.path, dict(self.headers), body))
        self.send_response(503 if len(self.got) == 1 else 202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_webhooks_are_posted_and_tried_again(crm: RunningSimulator) -> None:
    """
    A change becomes a POST; a receiver that is away for a moment gets it all the same.
    """
    Receiver.got = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (list_id,) = crm.seed([{"name": "Old"}])
        crm.switch(webhooks=[f"http://127.0.0.1:{server.server_port}/webhooks/crm"], webhook_secret="whsec_c2VjcmV0")
        crm.edit(list_id, name="New")
        call(crm, "PATCH", PATHS["crm"] + list_id, {"name": "Newer"})

        wait_until(lambda: len(Receiver.got) == 3, what="two webhooks, the first of them twice")
        server.shutdown()

    paths, headers, events = zip(*Receiver.got, strict=True)
    assert {"/webhooks/crm"} == set(paths)
    assert ["New", "New", "Newer"] == [event["data"]["fields"]["name"] for event in events]
    assert events[0]["id"] == events[1]["id"] != events[2]["id"]
    assert all("webhook-signature" in {name.lower() for name in each} for each in headers)


def refuses(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_leaving_the_block_ends_the_server() -> None:
    """
    Even while a client waits for an answer that never comes.
    """
    with running("crm", drop_rate=1.0) as remote:
        port = urlsplit(remote.base_url).port or 0
        waiting = connect(remote)
        waiting.request("GET", "/lead-lists", headers={"Authorization": f"Bearer {SIM_TOKEN}"})
        wait_until(lambda: remote.summary()["calls"] == {"GET": 1}, what="the call arrives")

    waiting.close()
    assert refuses(port)


def test_a_server_dies_with_its_parent() -> None:
    """
    Also when the parent is killed and can tidy nothing.
    """
    script = (
        "from worker.simulators.running import running\n"
        "import time\n"
        "with running('lance') as remote:\n"
        "    print(remote.base_url, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout
        port = urlsplit(parent.stdout.readline().decode().strip()).port or 0
        assert not refuses(port)
        parent.send_signal(signal.SIGKILL)

    wait_until(lambda: refuses(port), what="the simulator ends after its parent was killed")


def test_a_port_in_use_is_one_sentence() -> None:
    """
    On stderr, with status 1 and no traceback.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "worker.simulators.server", f"crm={port}"],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )

    assert (1, "") == (done.returncode, done.stdout)
    assert f"Cannot listen on 127.0.0.1:{port} (Address already in use); choose another port.\n" == done.stderr


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_server_of_its_own_quietly(signal_number: signal.Signals) -> None:
    """
    As docker stop and Ctrl-C do; in time although a client still waits, and without a traceback.
    """
    command = [sys.executable, "-m", "worker.simulators.server", "crm", "--switches", '{"crm": {"drop_rate": 1}}']
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env={**os.environ}
    ) as server:
        assert server.stdout
        assert server.stderr
        remote = RunningSimulator("crm", orjson.loads(server.stdout.readline())["crm"])
        waiting = connect(remote)
        waiting.request("GET", "/lead-lists", headers={"Authorization": f"Bearer {SIM_TOKEN}"})
        wait_until(lambda: remote.summary()["calls"] == {"GET": 1}, what="the call arrives")

        server.send_signal(signal_number)

        assert server.wait(5) == 0
        assert b"" == server.stderr.read()
        waiting.close()
