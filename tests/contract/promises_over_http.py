"""What a connector promises besides when it speaks to a real server. Kept by the classes of `test_connectors.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import pytest
from pydantic import SecretStr

from models.lead_list import Field
from models.patch import Patch
from tests.contract.promises import ADA, ConnectorContract, There
from worker.errors import AccessLost, BadAnswer, RateLimited, Refused, RemoteDown, Unclear
from worker.remotes.base import Connector
from worker.remotes.http import HttpWire
from worker.simulators.running import SIM_TOKEN, RunningSimulator


class OverHttp(ConnectorContract):
    """What only a real server can do: refuse, hang, limit, answer nonsense."""

    KIND: ClassVar[str]

    def connector(self) -> Connector:
        raise NotImplementedError

    @pytest.fixture
    def sim(self, simulators: Mapping[str, RunningSimulator]) -> RunningSimulator:
        """The simulator, as on its first day."""
        simulators[self.KIND].sim_post("reset", {})
        return simulators[self.KIND]

    @pytest.fixture
    def there(self, sim: RunningSimulator) -> There:
        return There(self.connector(), lambda: wire_to(sim), sim.seed)

    def test_only_what_differs_is_sent(self, there: There, sim: RunningSimulator) -> None:
        """The body of a PATCH holds the changed field and nothing else."""
        [remote_id] = there.seed([self.row()])

        there.patch(remote_id, Patch({Field.NAME: "New"}))

        [call] = sim.calls()
        assert ("PATCH", {"name": "New"}) == (call["method"], call["body"])

    @pytest.mark.parametrize("name", ["", " two  spaces ", "Größe 名 🎯", '"quoted" \\ / \u2028', "x" * 4096])
    def test_names_survive_the_journey(self, there: There, name: str) -> None:
        """Text is not touched on its way there and back."""
        [remote_id] = there.seed([self.row()])

        there.patch(remote_id, Patch({Field.NAME: name}))

        assert name == there.get(remote_id).fields[Field.NAME]

    def test_a_bad_token_is_lost_access(self, there: There, sim: RunningSimulator) -> None:
        """For every call."""
        there.wire = lambda: wire_to(sim, token="expired")

        for work in every_call(there):
            with pytest.raises(AccessLost, match=rf"{there.connector.name} answered 40\d: .*check its token"):
                work()

    @pytest.mark.parametrize("status", ["401", "402", "403"])
    def test_access_that_is_taken_away_is_lost_access(self, there: There, sim: RunningSimulator, status: str) -> None:
        """A revoked token, an unpaid plan, a missing scope."""
        sim.switch(access=status)

        for work in every_call(there):
            with pytest.raises(AccessLost):
                work()

    @pytest.mark.parametrize("form", ["none", "seconds", "http-date"])
    def test_too_many_requests_is_rate_limited(self, there: There, sim: RunningSimulator, form: str) -> None:
        """With the remote's wish when it names one."""
        sim.switch(limits=[[0, 60.0]], retry_after=form)

        with pytest.raises(RateLimited) as caught:
            there.get(ADA)

        wish = caught.value.retry_after_s
        assert (form == "none") == (wish is None)
        assert wish is None or 0 < wish <= 61

    @pytest.mark.parametrize("shape", ["html", "truncated", "not_json", "list_instead", "error_in_200"])
    def test_a_spoiled_answer_is_a_bad_answer(self, there: There, sim: RunningSimulator, shape: str) -> None:
        """As it comes over the wire, for every call."""
        [remote_id] = there.seed([self.row()])
        sim.switch(answer_shape=shape)

        for work in every_call(there, remote_id):
            with pytest.raises(BadAnswer):
                work()

    def test_a_failing_server_is_down_for_reads_and_unclear_for_writes(
        self, there: There, sim: RunningSimulator
    ) -> None:
        """503 on a write proves nothing."""
        [remote_id] = there.seed([self.row()])
        sim.switch(unavailable=True)

        with pytest.raises(RemoteDown):
            there.get(remote_id)
        with pytest.raises(Unclear):
            there.patch(remote_id, Patch({Field.NAME: "New"}))

    @pytest.mark.parametrize("fault", ["timeout_after", "cut_after", "error_after", "drop"])
    def test_an_answer_that_is_lost_leaves_a_write_unclear(
        self, there: There, sim: RunningSimulator, fault: str
    ) -> None:
        """Applied or not: nobody knows, so nobody claims to; a read may simply be read again."""
        [remote_id] = there.seed([self.row()])
        there.wire = lambda: wire_to(sim, timeout_s=0.5)
        sim.next(fault, times=2)

        with pytest.raises(Unclear):
            there.patch(remote_id, Patch({Field.NAME: "New"}))
        with pytest.raises(RemoteDown):
            there.get(remote_id)
        assert ("Old" if fault == "drop" else "New") == sim.lead_list(remote_id)["name"]

    @pytest.mark.parametrize(
        ("fault", "made"), [("timeout_after", 1), ("cut_after", 1), ("error_after", 1), ("drop", 0)]
    )
    def test_a_create_whose_answer_is_lost_is_unclear(
        self, there: There, sim: RunningSimulator, fault: str, made: int
    ) -> None:
        """Applied or not: it is never sent a second time from here."""
        there.wire = lambda: wire_to(sim, timeout_s=0.5)
        sim.next(fault, times=1)

        with pytest.raises(Unclear):
            there.create(Patch({Field.NAME: "New"}))

        assert made == len(sim.state())

    def test_a_wrong_base_url_is_refused_with_a_hint(self, there: There, sim: RunningSimulator) -> None:
        """404 for all lists is not the end of all lists."""
        there.wire = lambda: wire_to(sim, path="/wrong")

        with pytest.raises(Refused, match="check base_url"):
            there.pages()


def wire_to(sim: RunningSimulator, *, token: str = SIM_TOKEN, timeout_s: float = 5.0, path: str = "") -> HttpWire:
    """A wire to the simulator, made in the loop that uses it."""
    return HttpWire(sim.base_url + path, SecretStr(token), timeout_s=timeout_s, max_in_flight=4)


def every_call(there: There, remote_id: str = ADA) -> list[Callable[[], object]]:
    """All that a connector can ask."""
    return [
        lambda: there.get(remote_id),
        lambda: there.patch(remote_id, Patch({Field.NAME: "New"})),
        there.pages,
        lambda: there(lambda connector, send: connector.check(send)),
    ]
