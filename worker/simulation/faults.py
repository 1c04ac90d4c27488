"""Everything that may go wrong in a simulation, and how often. Each history draws what of it exists at all (swarm)."""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Fault(enum.StrEnum):
    """One way in which the world can be bad; the value is what stories call it."""

    # On the way to a remote, and in its answers
    LOST = "request lost"  #: it never arrives, and nobody answers
    UNANSWERED = "answer lost"  #: done there, and nobody hears of it
    FAILED_AFTER = "500 after it was done"  #: done there, but the answer says 500
    LATE = "write lands late"  #: it hangs somewhere, and lands long after we gave up, or never
    FAILED = "500"  #: not done
    LIMITED = "429"  #: not done, for no reason
    DOWN = "connection refused"  #: surely not sent
    FORBIDDEN = "403"  #: for no reason
    NOT_FOUND = "404"  #: by id, for no reason
    HTML = "a page of HTML"  #: with status 200
    CUT = "a cut answer"  #: with status 200; a write is done all the same
    STALE = "a stale replica"  #: reads show how it was a while ago; only where versions tell
    SLOW = "slow"  #: calls take seconds, and overtake each other
    # Listings
    DROPPED = "lists left out of a page"  #: without a word
    NOTHING = "an empty listing"  #: the whole remote seems to be empty
    EMPTY_PAGE = "an empty page"  #: but there is a next one
    CIRCLES = "pages in circles"  #: the next page is one that was read
    # Habits of a remote
    SPELLS = "spelling of its own"  #: names are trimmed, cut or in small letters
    IGNORES = "a field ignored"  #: one field is never taken, whatever the answer says
    REFUSES = "a list refused"  #: 422 to every write of it
    STRICT = "a strict limit"  #: counted in sliding windows, as the rate budget is told
    # Events
    SILENT = "a silent remote"  #: it tells nothing
    UNTOLD = "event lost"  #: nobody hears of it
    TWICE = "event doubled"  #: the same one comes twice
    DELAYED = "event late"  #: so that later ones overtake it
    SKEWED = "a wrong clock"  #: one remote's clock is ahead or behind
    POISON = "an event that kills its worker"  #: each time it is taken in
    GARBAGE = "an unreadable event"  #: no JSON, or of nobody known
    # Our own house
    KILLED = "worker killed"  #: before or after some call, without a word
    PAUSED = "worker paused"  #: for longer than its lease
    RIVALS = "two workers at once"  #: each at the same work
    STORE_AWAY = "database away"  #: a transaction fails, nothing of it stays
    COMMIT_UNKNOWN = "commit unknown"  #: a transaction fails, and all of it stays
    REDIS_AWAY = "Redis away"  #: reads, acknowledgements and tickets fail
    REDIS_TAIL = "Redis lost its last second"  #: entries that were added are gone
    REDIS_EMPTIED = "Redis emptied"  #: all entries are gone
    # People
    DELETES = "a list deleted"  #: by a person
    MAKES = "a list made"  #: by a person; where settings say so, it is created elsewhere
    # Members that are apart from their list
    PARTLY = "half of a bulk done"  #: some rows are made and the answer says 500; or some are deleted, and it says so
    UNFOUND = "a member not found"  #: a lookup of rows leaves one out
    KEPT_OFF = "a member kept off"  #: its workspace never takes it, and counts why
    UNKNOWN = "a member of unknown address"  #: until somebody tells whose it is


#: These are drawn on their own, for histories with such a remote: all others stay as they are.
APART = frozenset({Fault.PARTLY, Fault.UNFOUND, Fault.KEPT_OFF, Fault.UNKNOWN})


#: How many of a hundred requests of each sort meet which fault. A place is kept for each, so that a fault that does
#: not exist in a history leaves the others where they are.
READ: Mapping[Fault, int] = {
    Fault.FAILED: 5,
    Fault.LOST: 5,
    Fault.LIMITED: 3,
    Fault.FORBIDDEN: 1,
    Fault.HTML: 3,
    Fault.CUT: 2,
    Fault.NOT_FOUND: 6,
    Fault.STALE: 10,
    Fault.DOWN: 3,
}
WRITE: Mapping[Fault, int] = {
    Fault.LOST: 6,
    Fault.UNANSWERED: 8,
    Fault.FAILED_AFTER: 5,
    Fault.LATE: 8,
    Fault.FAILED: 5,
    Fault.LIMITED: 3,
    Fault.FORBIDDEN: 1,
    Fault.HTML: 2,
    Fault.CUT: 2,
    Fault.NOT_FOUND: 5,
    Fault.DOWN: 4,
}
PAGE: Mapping[Fault, int] = {
    Fault.FAILED: 5,
    Fault.LOST: 4,
    Fault.LIMITED: 2,
    Fault.FORBIDDEN: 1,
    Fault.HTML: 2,
    Fault.CUT: 2,
    Fault.CIRCLES: 2,
    Fault.EMPTY_PAGE: 2,
    Fault.DROPPED: 10,
    Fault.STALE: 8,
    Fault.NOTHING: 2,
    Fault.DOWN: 2,
}

#: The same for rows of members: all of a list, some that are looked up, some that are made or deleted.
ROWS: Mapping[Fault, int] = {
    Fault.FAILED: 3,
    Fault.LOST: 3,
    Fault.LIMITED: 2,
    Fault.FORBIDDEN: 1,
    Fault.HTML: 2,
    Fault.CUT: 2,
    Fault.CIRCLES: 3,
    Fault.EMPTY_PAGE: 3,
    Fault.DROPPED: 15,
    Fault.STALE: 20,
    Fault.NOTHING: 3,
    Fault.DOWN: 2,
}
LOOKUP: Mapping[Fault, int] = {**READ, Fault.UNFOUND: 30}
BULK: Mapping[Fault, int] = {**WRITE, Fault.PARTLY: 20}

#: What leaves lists out of listings; one that is deleted while pages are read makes the next ones skip another. Never
#: in one history with 404 for no reason: both together is what being gone means, and nobody could tell.
HIDING = frozenset({Fault.DROPPED, Fault.NOTHING, Fault.EMPTY_PAGE, Fault.DELETES})

#: Where it must be rarer than others: it changes the whole history.
SELDOM: Mapping[Fault, float] = {
    Fault.SPELLS: 0.15,
    Fault.IGNORES: 0.1,
    Fault.REFUSES: 0.1,
    Fault.STRICT: 0.1,
    Fault.SILENT: 0.15,
    Fault.POISON: 0.1,
    Fault.GARBAGE: 0.1,
    Fault.REDIS_EMPTIED: 0.15,
    Fault.MAKES: 0.5,
}
#: How likely each of the others exists in a history.
USUAL = 0.4
