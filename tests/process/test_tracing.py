"""One trace from a webhook, or an entry of the stream, to the PATCH: real processes, and a collector on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.support.spans import Collector, GotSpan, collecting
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until
from tests.support.webhooks import SECRET

#: What a program that adds events may say of its own span.
TRACE = "0af7651916cd43dd8448eb211c80319c"
SENDER = f"00-{TRACE}-b7ad6b7169203331-01"
OTHER = "1bf7651916cd43dd8448eb211c80319d"
NAME = "Mergers and acquisitions"
ABOUT = ("leadsync.action", "leadsync.fields", "http.response.status_code")


@pytest.fixture
def collector() -> Iterator[Collector]:
    """An empty one."""
    with collecting() as running:
        yield running


@pytest.fixture
def stack(tmp_path: Path, redis_url: str, sqlite_url: str, collector: Collector) -> Iterator[Stack]:
    """Two lists, linked; all processes trace, and the CRM has webhooks."""
    settings = {"LEADSYNC_REMOTES__CRM__WEBHOOK_SECRET": SECRET, **collector.env}
    with running_stack(tmp_path / "data", redis_url, sqlite_url, settings=settings) as running:
        running.seed(2)
        port = running.start_all()
        running.simulators["crm"].switch(webhooks=[f"http://127.0.0.1:{port}/webhooks/crm"], webhook_secret=SECRET)
        yield running


def test_one_trace_from_the_webhook_to_each_patch(stack: Stack, collector: Collector) -> None:
    """Through Redis, the database and Celery; ids and names of fields stand in it, and no value."""
    stack.simulators["crm"].edit(stack.ids["crm"][0], name=NAME)
    wait_until(lambda: _is_whole(collector), deadline_s=30, what="every process has told its part")

    [webhook] = collector.spans("webhook")
    [intake] = [one for one in collector.spans("intake") if one.trace == webhook.trace]
    assert ("", webhook.id) == (webhook.parent, intake.parent)
    assert ("leadsync", "crm") == (webhook.service, webhook.about["leadsync.remote"])
    assert webhook.about["messaging.message.id"] == intake.about["messaging.message.id"]
    assert {"instantly", "lance"} == {_push_of(patch, intake, collector) for patch in collector.spans("PATCH")}
    assert NAME not in str(collector.spans())


def test_events_that_share_a_patch_are_tied_to_it(stack: Stack, collector: Collector) -> None:
    """The trace of the newest goes on; a sender's own trace is believed."""
    stack.simulators["crm"].switch(webhooks=[])
    assert 0 == stack.start("pause", "lance").wait()
    _rename(stack, "One", f"00-{OTHER}-b7ad6b7169203331-01")
    _rename(stack, "Two", SENDER)
    wait_until(lambda: _traces(collector, "intake") >= {OTHER, TRACE}, deadline_s=30, what="both are taken in")
    assert 0 == stack.start("resume", "lance").wait()
    wait_until(lambda: "Two" in stack.names()["lance"], deadline_s=30, what="the second name is there")
    [push] = wait_until(lambda: _pushes_to_lance(collector), deadline_s=30, what="its push is told")
    wait_until(lambda: TRACE in _traces(collector, "intake"), deadline_s=30, what="and what it follows from")

    [intake] = [one for one in collector.spans("intake") if one.trace == TRACE]
    assert SENDER.split("-")[2] == intake.parent
    assert (TRACE, intake.id, (OTHER,)) == (push.trace, push.parent, push.links)


def _is_whole(collector: Collector) -> bool:
    """Both patches, and all that they are a part of: each process tells its spans when it gets round to it."""
    there, patches = {one.id for one in collector.spans()}, collector.spans("PATCH")
    pushes = [one for one in collector.spans("push") if one.id in {patch.parent for patch in patches}]
    return bool(len(patches) == len(pushes) == 2 and collector.spans("webhook") and {p.parent for p in pushes} <= there)


def _push_of(patch: GotSpan, intake: GotSpan, collector: Collector) -> str:
    """The remote of the push that this request is a part of, which follows from that event."""
    [push] = [one for one in collector.spans("push") if one.id == patch.parent]
    assert (intake.trace, intake.id) == (push.trace, push.parent)
    assert ["patch", ["name"], 200] == [push.about[key] for key in ABOUT]
    assert 200 == patch.about["http.response.status_code"]
    return str(push.about["leadsync.remote"])


def _rename(stack: Stack, name: str, traceparent: str) -> None:
    """With the trace of the program that says so."""
    stack.simulators["crm"].edit(stack.ids["crm"][0], name=name)
    stack.add(orjson.dumps(orjson.loads(stack.event(0, {"fields": {"name": name}})) | {"traceparent": traceparent}))


def _traces(collector: Collector, name: str) -> set[str]:
    return {one.trace for one in collector.spans(name)}


def _pushes_to_lance(collector: Collector) -> list[GotSpan]:
    pushes = (one for one in collector.spans("push") if one.about["leadsync.action"] == "patch")
    return [one for one in pushes if one.about["leadsync.remote"] == "lance"]
