"""Sessions and passwords: what a cookie proves, when it ends, and how guessing is slowed down."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from worker.web.session import SESSION_S, Passwords, Role, Sessions, TooManyGuesses

WORDS = {Role.OPERATOR: SecretStr("correct horse"), Role.VIEWER: SecretStr("battery staple")}
NOW = 1_800_000_000.0


class Time:
    """A clock that is set, and sleeps that are counted."""

    def __init__(self) -> None:
        self.now, self.slept = NOW, list[float]()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """No time passes."""
        self.slept.append(seconds)


@pytest.fixture
def time() -> Time:
    """Begins at a fixed moment."""
    return Time()


def test_a_cookie_proves_its_role_until_it_ends(time: Time) -> None:
    """Twelve hours, then the password is asked for again."""
    sessions = Sessions.of(WORDS, time)
    for role in Role:
        cookie, time.now = sessions.begin(role), NOW
        first = sessions.read(cookie)
        assert first is not None
        assert role is first.role
        time.now += SESSION_S - 1
        assert first == sessions.read(cookie)
        time.now += 2
        assert sessions.read(cookie) is None
        time.now = NOW


def test_another_process_with_the_same_passwords_reads_it(time: Time) -> None:
    """There may be any number of web processes, whose clocks differ a little."""
    cookie = Sessions.of(WORDS, time).begin(Role.VIEWER)
    time.now -= 60
    read = Sessions.of(dict(WORDS), time).read(cookie)
    assert read is not None
    assert Role.VIEWER is read.role


def test_a_new_password_ends_its_sessions_only(time: Time) -> None:
    """Whoever changes the operators' password does not log viewers out."""
    before = Sessions.of(WORDS, time)
    after = Sessions.of({**WORDS, Role.OPERATOR: SecretStr("another one")}, time)
    assert after.read(before.begin(Role.OPERATOR)) is None
    assert after.read(before.begin(Role.VIEWER)) is not None


def test_a_viewers_cookie_cannot_be_made_an_operators(time: Time) -> None:
    """Each role has a key of its own, and the role is signed."""
    sessions = Sessions.of(WORDS, time)
    forged = sessions.begin(Role.VIEWER).replace("viewer", "operator", 1)
    assert sessions.read(forged) is None


def test_without_passwords_each_process_has_its_own_key(time: Time) -> None:
    """What nobody proved is good for this process only."""
    assert Sessions.of({}, time).read(Sessions.of({}, time).begin(Role.OPERATOR)) is None


def test_each_session_has_a_token_of_its_own(time: Time) -> None:
    """One person's token is of no use in another one's session."""
    sessions = Sessions.of(WORDS, time)
    tokens = {read.csrf for _ in range(5) if (read := sessions.read(sessions.begin(Role.OPERATOR)))}
    assert len(tokens) == 5


@given(st.text() | st.text(alphabet="operatviw.-_0123456789").map(lambda text: f"operator.{text}"))
def test_no_other_text_is_a_cookie(text: str) -> None:
    """Nothing that a stranger can send raises, or proves anything."""
    assert SESSIONS.read(text) is None


SESSIONS = Sessions.of(WORDS, lambda: NOW)


def test_a_password_tells_the_role(time: Time) -> None:
    """Whole and exactly, or not at all."""
    known = Passwords(WORDS, time.sleep)

    async def ask() -> list[Role | None]:
        guesses = ["correct horse", "battery staple", "", "correct hors", "correct horse ", "x" * 5000, "\ud800"]
        return [await known.role_of(guess) for guess in guesses]

    assert [Role.OPERATOR, Role.VIEWER, None, None, None, None, None] == asyncio.run(ask())


def test_each_wrong_guess_makes_the_next_wait_longer(time: Time) -> None:
    """Up to a few seconds; the right one ends that."""
    known = Passwords(WORDS, time.sleep)

    async def ask() -> None:
        for _ in range(7):
            await known.role_of("wrong")
        await known.role_of("correct horse")
        await known.role_of("correct horse")

    asyncio.run(ask())
    assert [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0] == time.slept


def test_who_guesses_in_parallel_gains_nothing() -> None:
    """One at a time, and the queue is short."""
    asked = list[float]()

    async def never(seconds: float) -> None:
        asked.append(seconds)
        await asyncio.sleep(3600)

    async def ask() -> None:
        known = Passwords(WORDS, never)
        await known.role_of("wrong")
        waiting = [asyncio.create_task(known.role_of("wrong")) for _ in range(8)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyGuesses):
            await known.role_of("wrong")
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(ask())
    assert [0.25] == asked
