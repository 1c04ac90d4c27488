"""Sessions and passwords: what a cookie proves, and who may have one. Used by `access.py` and `login.py`.

Nothing is stored: a cookie is signed with a key made of its role's password, so a new password ends all its sessions,
and a viewer's cookie says nothing about the operators' password.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from itsdangerous import BadSignature, TimestampSigner
from pydantic import SecretStr

#: A session ends so long after its login.
SESSION_S: Final = 12 * 3600
#: How far the clocks of two web processes may be apart.
_SKEW_S: Final = 300

#: Nobody types more; scrypt would have to read it all.
_LONGEST: Final = 1024
#: Attempts that wait at once; more are sent away.
_MOST_WAITING: Final = 8
_FIRST_DELAY_S: Final = 0.25
_LAST_DELAY_S: Final = 4.0


class Role(enum.StrEnum):
    """What somebody may do."""

    OPERATOR = "operator"  #: see everything and act
    VIEWER = "viewer"  #: see everything


@dataclass(frozen=True, slots=True)
class Session:
    """What a good cookie says."""

    role: Role
    #: What each form of this session must bring along.
    csrf: str


class Sessions:
    """Makes and reads cookies."""

    def __init__(self, keys: Mapping[Role, bytes], now: Callable[[], float]) -> None:
        self._keys, self._now = keys, now
        self._signers = {role: _Signer(key, now) for role, key in keys.items()}

    @classmethod
    def of(cls, passwords: Mapping[Role, SecretStr], now: Callable[[], float]) -> Sessions:
        """Signed with keys that all processes with the same passwords share; without any, with one of this process."""
        if not passwords:
            return cls({Role.OPERATOR: secrets.token_bytes(32)}, now)
        return cls({role: _scrypt(word, f"leadsync session {role}".encode()) for role, word in passwords.items()}, now)

    def begin(self, role: Role) -> str:
        """The cookie of a new session."""
        return self._signers[role].sign(f"{role}.{secrets.token_urlsafe(16)}").decode()

    def read(self, cookie: str) -> Session | None:
        """What it proves; None when it was not made here, has ended, or its password is another one now."""
        role = next((role for role in self._signers if cookie.startswith(f"{role}.")), None)
        if role is None:
            return None
        try:
            value, since = self._signers[role].unsign(cookie, return_timestamp=True)
        except BadSignature:
            return None
        if not -_SKEW_S <= self._now() - since.timestamp() <= SESSION_S:
            return None
        return Session(role, hmac.digest(self._keys[role], b"csrf " + value, "sha256").hex())


class _Signer(TimestampSigner):
    def __init__(self, key: bytes, now: Callable[[], float]) -> None:
        super().__init__(key, salt=b"leadsync session", key_derivation="hmac", digest_method=hashlib.sha256)
        self._now = now

    def get_timestamp(self) -> int:
        return int(self._now())


class TooManyGuesses(Exception):
    """So many wait already that this one is not even looked at."""


class Passwords:
    """Says which role a password is of. One guess at a time, and each wrong one makes the next wait longer."""

    def __init__(self, passwords: Mapping[Role, SecretStr], sleep: Callable[[float], Awaitable[object]]) -> None:
        self._salt = secrets.token_bytes(16)
        self._known = {role: _scrypt(word, self._salt) for role, word in passwords.items()}
        self._sleep, self._turn = sleep, asyncio.Lock()
        self._waiting = self._wrong = 0

    async def role_of(self, guess: str) -> Role | None:
        """None for a wrong one. Raises `TooManyGuesses`."""
        if self._waiting >= _MOST_WAITING:
            raise TooManyGuesses
        self._waiting += 1
        try:
            async with self._turn:
                if self._wrong:
                    await self._sleep(min(_FIRST_DELAY_S * 2 ** (self._wrong - 1), _LAST_DELAY_S))
                role = await asyncio.to_thread(self._compare, guess)
                self._wrong = 0 if role else min(self._wrong + 1, 16)
                return role
        finally:
            self._waiting -= 1

    def _compare(self, guess: str) -> Role | None:
        made = _scrypt(SecretStr(guess[:_LONGEST]), self._salt)
        # All of them, so that the time it takes does not tell which.
        right = [role for role, known in self._known.items() if hmac.compare_digest(made, known)]
        return right[0] if right and len(guess) <= _LONGEST else None


def _scrypt(word: SecretStr, salt: bytes) -> bytes:
    text = word.get_secret_value().encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=2**14, r=8, p=1, dklen=32)
