"""Tallies: a whole membership in three numbers, kept up to date by what comes and goes. Pure.

Whether a set of members is the one that a copy showed last is answered without reading its rows. Called by observe,
and by scan and settle before they load a membership.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from models.lead_list import Member, Tally
from models.values import replace

_MODULUS = 2**64


def weight(key: str) -> int:
    """What one member adds to a digest."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())


def tally_of(keys: Iterable[str]) -> Tally:
    """Of different keys."""
    count = total = 0
    for key in keys:
        count, total = count + 1, total + weight(key)
    return Tally(count, total % _MODULUS)


def together(one: Tally, other: Tally) -> Tally:
    """Of two sets that share nothing."""
    return Tally(one.count + other.count, (one.digest + other.digest) % _MODULUS)


def moved(tally: Tally, remote: str, before: Mapping[str, Member], after: Mapping[str, Member]) -> Tally:
    """After some members came to `remote` or went from it. Only those that may have moved need be named."""
    came, went = list[str](), list[str]()
    for key, member in after.items():
        was, shows = before.get(key), member.shown_by(remote)
        if was is member or shows == (was is not None and was.shown_by(remote)):
            continue
        (came if shows else went).append(key)
    if not (came or went):
        return tally
    plus, minus, moves = tally_of(came), tally_of(went), len(came) - len(went)
    return Tally(
        tally.count + moves,
        (tally.digest + plus.digest - minus.digest) % _MODULUS,
        None if tally.rows is None else tally.rows + moves,
    )


def same_members(one: Tally | None, other: Tally | None) -> bool:
    """Both are known, and of the same members."""
    if one is None or other is None:
        return False
    return (one.count, one.digest) == (other.count, other.digest)


def counted(tally: Tally, rows: int | None) -> Tally:
    """With the rows that the remote counted, if it did."""
    return tally if rows is None else replace(tally, rows=rows)
