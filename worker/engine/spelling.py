"""How a remote spells what it is told: learned from its answers, or it would be patched for ever. Pure, for settle.

| the answer shows                   | what happened                  | what we do                            |
| ---------------------------------- | ------------------------------ | ------------------------------------- |
| our value, as it is spelled there  | done                           | nothing to learn                      |
| our text in other case or spacing  | done                           | learn                                 |
| the beginning of our text          | done, and cut                  | learn, unless it showed that before   |
| the value it showed before         | ignored                        | nothing to learn: the copy is parked  |
| anything else, for the first time  | perhaps a person's edit        | note; wait for a second answer        |
| the same as at the first time      | done, in a spelling of its own | learn                                 |
"""

from __future__ import annotations

from collections.abc import Mapping

from models.lead_list import Copy, Field, Spelling, Value
from models.observation import Observation
from models.patch import Patch
from worker.engine.observe import alike, as_shown, is_cut
from worker.engine.rules import NoMapping, RemoteRules


def ignored(copy: Copy, patch: Patch, answer: Observation, rules: RemoteRules) -> list[Field]:
    """Fields of `patch` for which the remote answered well and kept the old value. `copy` is as it was before."""
    return [
        field
        for field, value in patch.fields.items()
        if field in answer.fields
        and _kept(copy, field, answer)
        and _learned(copy, field, value, answer.fields[field]) is None
        and answer.fields[field] != _spelled(copy, field, value, rules)
    ]


def learn(copy: Copy, patch: Patch, answer: Observation, rules: RemoteRules) -> Mapping[Field, Spelling]:
    """What is known of the remote's spelling after its answer to `patch`."""
    spelling = dict(copy.spelling)
    for field, value in patch.fields.items():
        if field not in answer.fields or answer.fields[field] == _spelled(copy, field, value, rules):
            continue
        shown = answer.fields[field]
        if learned := _learned(copy, field, value, shown):
            spelling[field] = learned
        elif not _kept(copy, field, answer):
            spelling[field] = Spelling(value, shown, sure=is_cut(value, shown))
    return spelling


def learn_from_read(copy: Copy, read: Observation) -> Mapping[Field, Spelling]:
    """A read-back may show our unsure write in the remote's spelling; there will be no answer to learn it from."""
    spelling = dict(copy.spelling)
    for field, write in copy.abandoned.items():
        if field in read.fields and not _kept(copy, field, read):
            shown = read.fields[field]
            # As alike text is too. It may be a person's all the same: it is written once more, and the answer tells.
            if is_cut(write.value, shown) and shown != write.value:
                spelling[field] = Spelling(write.value, shown, sure=False)
    return spelling


def _learned(copy: Copy, field: Field, value: Value, shown: Value) -> Spelling | None:
    """A spelling that is beyond doubt even where the remote showed it before: no ignored write looks like this."""
    twice = copy.spelling.get(field) == Spelling(value, shown, sure=False)
    return Spelling(value, shown) if twice or alike(value, shown) else None


def _kept(copy: Copy, field: Field, answer: Observation) -> bool:
    return field in copy.seen and copy.seen[field].value == answer.fields[field]


def _spelled(copy: Copy, field: Field, value: Value, rules: RemoteRules) -> Value:
    try:
        return as_shown(copy, field, value, rules)
    except NoMapping:
        return value
