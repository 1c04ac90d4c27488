"""What a status means: one table over every status, for reads and for writes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from worker.errors import AccessLost, LeadsyncError, NotThere, RateLimited, Refused, RemoteDown, Unclear
from worker.remotes.base import Answer, Request
from worker.remotes.status import as_error, meaning, retry_after_s

READ = Request(method="GET", path="/lead-lists/1")
WRITE = Request(method="PATCH", path="/lead-lists/1", body={"name": "New"})
POST_THAT_READS = Request(method="POST", path="/leads/list", body={}, only_reads=True)

#: Every status that is not what its hundred says.
EXCEPTIONS: dict[int, type[LeadsyncError]] = {
    **dict.fromkeys((401, 402, 403), AccessLost),
    404: NotThere,
    408: RemoteDown,
    425: RemoteDown,
    429: RateLimited,
}


def expected(status: int, *, writes: bool) -> type[LeadsyncError] | None:
    """The table, written a second time."""
    hundred = {
        1: Unclear if writes else RemoteDown,
        2: None,
        3: Refused,
        4: Refused,
        5: Unclear if writes else RemoteDown,
    }
    return EXCEPTIONS.get(status, hundred[status // 100])


@pytest.mark.parametrize("writes", [False, True])
def test_every_status_has_its_place_in_the_table(*, writes: bool) -> None:
    """From 100 to 599 each status means one thing for reads and one for writes."""
    table = {status: expected(status, writes=writes) for status in range(100, 600)}

    assert table == {status: meaning(status, writes=writes) for status in range(100, 600)}


@pytest.mark.parametrize("request_", [READ, WRITE, POST_THAT_READS], ids=["read", "write", "post that reads"])
def test_every_error_is_of_the_class_in_the_table(request_: Request) -> None:
    """The error that is raised is exactly the one of the table, and says who answered what."""
    for status in (*range(100, 200), *range(300, 600)):
        error = as_error("mars", request_, Answer(status=status), "no", by_id=True)

        assert expected(status, writes=request_.writes) is type(error)
        assert str(error).startswith(f"mars answered {status}: no")


def test_a_status_beyond_http_is_treated_like_a_failure() -> None:
    """A status above 599 proves nothing: a write may have been applied."""
    assert meaning(999, writes=True) is Unclear
    assert meaning(999, writes=False) is RemoteDown


def test_a_listing_that_is_not_there_means_a_wrong_address() -> None:
    """404 on a path without an id is nothing gone: base_url is wrong."""
    error = as_error("mars", READ, Answer(status=404), "Not Found", by_id=False)

    assert type(error) is Refused
    assert "mars answered 404: Not Found (check base_url)" == str(error)


def test_a_redirect_is_refused_and_says_why() -> None:
    """The token goes to the configured address only."""
    error = as_error("mars", WRITE, Answer(status=308), "", by_id=True)

    assert "mars answered 308 (redirected; check base_url)" == str(error)


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "check its token"), (402, "check its plan"), (403, "check what its token may do")]
)
def test_lost_access_says_what_to_check(status: int, hint: str) -> None:
    """Each of the three has its own next step."""
    error = as_error("mars", READ, Answer(status=status), "No.", by_id=True)

    assert f"mars answered {status}: No. ({hint})" == str(error)


@pytest.mark.parametrize("request_", [READ, WRITE], ids=["read", "write"])
def test_429_keeps_the_wish_of_the_remote(request_: Request) -> None:
    """Retry-After in seconds reaches the budget and the backoff."""
    error = as_error("mars", request_, Answer(status=429, headers={"retry-after": "7"}), "", by_id=True)

    assert isinstance(error, RateLimited)
    assert 7.0 == error.retry_after_s


def test_503_on_a_read_keeps_the_wish_of_the_remote() -> None:
    """A remote in maintenance may say until when."""
    error = as_error("mars", READ, Answer(status=503, headers={"retry-after": "60"}), "", by_id=True)

    assert isinstance(error, RemoteDown)
    assert 60.0 == error.retry_after_s


def test_a_date_is_measured_on_the_clock_of_the_remote() -> None:
    """A remote whose clock is years off still gets the pause it asked for."""
    headers = {"date": "Thu, 01 Jan 2015 00:00:00 GMT", "retry-after": "Thu, 01 Jan 2015 00:00:30 GMT"}

    assert 30.0 == retry_after_s(Answer(status=429, headers=headers))


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 99 Foo 2015"])
def test_without_a_readable_date_our_clock_serves(date: str | None) -> None:
    """A missing or broken date header does not lose the wish."""
    headers = {"retry-after": datetime(2100, 1, 1, tzinfo=UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")}

    wish = retry_after_s(Answer(status=429, headers=headers if date is None else {**headers, "date": date}))

    assert wish is not None
    assert wish > 0


@pytest.mark.parametrize("wish", [None, "", "soon", "-5", "1e9", "٣"])
def test_a_wish_that_makes_no_sense_is_none(wish: str | None) -> None:
    """Nobody waits for nonsense, and nothing breaks over it."""
    headers = {} if wish is None else {"retry-after": wish}

    assert retry_after_s(Answer(status=429, headers=headers)) is None
