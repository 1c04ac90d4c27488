"""The engine's laws, over any list, any rules and any news."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from models.lead_list import (
    SCALARS,
    Abandoned,
    Copy,
    Field,
    Intent,
    LeadList,
    Member,
    Parked,
    Presence,
    Seen,
    Spelling,
    Stamp,
    Standing,
    Value,
    Waiting,
    Wanted,
)
from models.observation import Evidence, MembersSeen, Observation
from models.patch import Patch
from tests.support.heart import NOON, at, later, shown_set
from worker.engine import members
from worker.engine.observe import Observed, observe
from worker.engine.plan import plan, restand
from worker.engine.rules import Direction, NoMapping, Policy, RemoteRules, Rules

REMOTES = ("crm", "lance", "instantly")
NAMES = ("p1", "p2", "p3", "p4")
TEXTS = ("A", "b", " C ", "C", "unmapped")


def _lower(_field: Field, value: Value) -> Value:
    return value.lower() if isinstance(value, str) else value


def _strict(_field: Field, value: Value) -> Value:
    if value == "unmapped":
        raise NoMapping
    return value


def _same(_field: Field, value: Value) -> Value:
    return value


values: st.SearchStrategy[Value] = st.sampled_from([*TEXTS, None, True, False])
remotes = st.sampled_from(REMOTES)
stamps = st.builds(at, st.integers(-5, 5), st.none() | st.integers(0, 3))
scalars = st.sampled_from(SCALARS)
some_names = st.frozensets(st.sampled_from(NAMES))
moments = st.builds(later, st.integers(-5, 5))
rules_of_remotes = st.builds(
    RemoteRules,
    rank=st.integers(0, 3),
    directions=st.permutations([*Direction]).map(lambda mixed: dict(zip(Field, mixed, strict=False)))
    | st.just(dict.fromkeys(Field, Direction.BOTH)),
    spell=st.sampled_from([_same, _lower, _strict]),
    versioned=st.booleans(),
)
any_rules = st.builds(
    Rules,
    remotes=st.fixed_dictionaries(dict.fromkeys(REMOTES, rules_of_remotes)),
    policies=st.dictionaries(scalars, st.sampled_from(Policy)),
)
seen = st.dictionaries(scalars, st.builds(Seen, values, stamps))


def copies_on(remote: str) -> st.SearchStrategy[Copy]:
    """Copies in any state, however unlikely."""
    whole = st.none() | st.builds(Seen, st.none(), stamps)
    due = st.none() | st.tuples(moments, st.sampled_from(Waiting))
    return st.builds(
        _completed,
        st.builds(
            Copy,
            remote=st.just(remote),
            remote_id=st.just(f"{remote}-1"),
            seen=seen,
            hidden=st.frozensets(st.sampled_from(Field), max_size=1),
            spelling=st.dictionaries(scalars, st.builds(Spelling, values, values, st.booleans()), max_size=1),
            held=st.dictionaries(scalars, st.builds(Seen, values, stamps), max_size=1),
            abandoned=st.dictionaries(
                st.sampled_from(Field), st.builds(Abandoned, values, moments, some_names, some_names), max_size=1
            ),
            look=st.booleans(),
            since=st.none() | moments,
            tries=st.integers(0, 3),
            parked=st.none() | st.builds(Parked, st.just("cause"), st.just("step"), st.sampled_from(["", "x"])),
            intent=st.none() | st.builds(Intent, st.builds(Patch, st.dictionaries(scalars, values)), moments),
        ),
        whole,
        due,
    )


def _completed(copy: Copy, floor: Seen | None, due: tuple[datetime, Waiting] | None) -> Copy:
    if floor is not None:
        copy = replace(copy, seen={**copy.seen, Field.MEMBERS: floor})
    if due is not None:
        copy = replace(copy, standing=Standing.DUE, due_at=due[0], waiting=due[1])
    return copy


any_members = st.dictionaries(
    st.sampled_from(NAMES),
    st.builds(Member, st.booleans(), st.dictionaries(remotes, st.builds(Presence, st.booleans(), stamps))),
)


def _consistent(lead_list: LeadList) -> LeadList:
    """Only what is wanted was ever written."""
    known = {*lead_list.wanted, Field.MEMBERS}
    copies = {
        name: replace(copy, abandoned={f: one for f, one in copy.abandoned.items() if f in known})
        for name, copy in lead_list.copies.items()
    }
    return replace(lead_list, copies=copies)


any_lists = st.builds(
    LeadList,
    id=st.just(1),
    wanted=st.dictionaries(scalars, st.builds(Wanted, values, stamps, remotes)),
    copies=st.fixed_dictionaries({remote: copies_on(remote) for remote in REMOTES}),
    members=any_members,
).map(_consistent)
memberships = st.builds(lambda added: MembersSeen(whole=True, added=added), some_names) | st.builds(
    lambda added, removed: MembersSeen(whole=False, added=added - removed, removed=removed), some_names, some_names
)
observations = st.builds(
    Observation,
    remote=remotes,
    remote_id=st.just("1"),
    stamp=stamps,
    evidence=st.sampled_from(Evidence),
    cause=st.just("test"),
    fields=st.dictionaries(scalars, values),
    members=st.none() | memberships,
)


@given(lead_list=any_lists, news=observations, rules=any_rules)
def test_observing_twice_is_observing_once(lead_list: LeadList, news: Observation, rules: Rules) -> None:
    """Whatever is told a second time changes nothing and writes nothing."""
    once = observe(lead_list, news, rules).lead_list
    assert Observed(once) == observe(once, news, rules)


@given(lead_list=any_lists, news=observations, rules=any_rules)
def test_late_news_is_ignored(lead_list: LeadList, news: Observation, rules: Rules) -> None:
    """Older than all that this copy ever showed: nothing happens."""
    copy = lead_list.copies[news.remote]
    known = [one.stamp for one in copy.seen.values()]
    known += [member.seen[news.remote].stamp for member in lead_list.members.values() if news.remote in member.seen]
    oldest = Stamp(min((stamp.time for stamp in known), default=NOON) - timedelta(seconds=1))
    late = replace(
        news, stamp=oldest, fields={field: news.fields[field] for field in news.fields if field in copy.seen}
    )
    if news.members is not None and Field.MEMBERS not in copy.seen:
        late = replace(late, members=None)
    assert Observed(lead_list) == observe(lead_list, late, rules)


@given(lead_list=any_lists, news=st.lists(observations, max_size=4), rules=any_rules)
def test_nothing_is_invented(lead_list: LeadList, news: list[Observation], rules: Rules) -> None:
    """What is wanted was wanted before, or some remote that may say so has shown it."""
    said = {(field, wanted.value) for field, wanted in lead_list.wanted.items()}
    after = lead_list
    for one in news:
        after = observe(after, one, rules).lead_list
        taken = {field for field in one.fields if rules.remotes[one.remote].direction(field).takes}
        said |= {(field, one.fields[field]) for field in taken}
    assert said >= {(field, wanted.value) for field, wanted in after.wanted.items()}


@given(lead_list=any_lists, rules=any_rules)
def test_the_plan_of_an_agreed_list_is_empty(lead_list: LeadList, rules: Rules) -> None:
    """Every copy shows what is wanted, as it is spelled there: nobody is called."""
    agreed = replace(lead_list, copies={name: _agreeing(lead_list, name, rules) for name in REMOTES})
    shown = {remote: Presence(True, at(0)) for remote in REMOTES}
    agreed = replace(agreed, members={name: Member(True, shown) for name in lead_list.members})
    for copy in agreed.copies.values():
        assert not plan(agreed, copy, rules.remotes[copy.remote], NOON).patch
    standings = {copy.standing for copy in restand(agreed, rules, NOON).copies.values()}
    assert {Standing.IN_SYNC, Standing.EXCLUDED} >= standings


def _agreeing(lead_list: LeadList, remote: str, rules: Rules) -> Copy:
    shown = {}
    for field, wanted in lead_list.wanted.items():
        try:
            shown[field] = Seen(rules.remotes[remote].spell(field, wanted.value), at(0))
        except NoMapping:
            shown[field] = Seen(wanted.value, at(0))
    return Copy(remote=remote, remote_id=f"{remote}-1", seen={**shown, Field.MEMBERS: Seen(None, at(0))})


@given(lead_list=any_lists, rules=any_rules, remote=remotes)
def test_a_plan_applied_to_a_perfect_remote_leaves_nothing(lead_list: LeadList, rules: Rules, remote: str) -> None:
    """What the remote answers when it does just what it is told settles every field that was sent."""
    copy = replace(lead_list.copies[remote], spelling={})
    lead_list = replace(lead_list, copies={**lead_list.copies, remote: copy})
    patch = plan(lead_list, copy, rules.remotes[remote], NOON).patch
    spell = rules.remotes[remote].spell
    shown = shown_set(lead_list.members, remote)
    answer = Observation(
        remote=remote,
        remote_id="1",
        stamp=at(99, 99),
        evidence=Evidence.ANSWER,
        cause="answer",
        fields={field: spell(field, value) for field, value in patch.fields.items()},
        members=MembersSeen(whole=True, added=(shown - patch.remove) | patch.add),
    )
    after = observe(lead_list, answer, rules).lead_list
    again = plan(after, after.copies[remote], rules.remotes[remote], NOON).patch
    assert not (patch.fields.keys() & again.fields.keys())
    assert (frozenset(), frozenset()) == (again.add & patch.add, again.remove & patch.remove)
    assert {field: lead_list.wanted[field].value for field in patch.fields} == {
        field: after.wanted[field].value for field in patch.fields
    }


@given(base=some_names, crm=some_names, lance=some_names, instantly=some_names, order=st.permutations(REMOTES))
def test_members_merge_in_any_order(
    base: frozenset[str],
    crm: frozenset[str],
    lance: frozenset[str],
    instantly: frozenset[str],
    order: list[str],
) -> None:
    """From one agreed base: what anybody added is wanted, what anybody removed is not, whoever tells first."""
    told = {"crm": crm, "lance": lance, "instantly": instantly}
    known = {name: Member(True, {remote: Presence(True, at(0)) for remote in REMOTES}) for name in base}
    floor = Seen(None, at(0))
    for remote in order:
        shown = MembersSeen(whole=True, added=told[remote])
        news = Observation(remote=remote, remote_id="1", stamp=at(1), evidence=Evidence.EVENT, cause="test")
        known = dict(members.merge(known, floor, news, shown, takes=True).members)
    added = (crm | lance | instantly) - base
    removed = base - (crm & lance & instantly)
    assert (base | added) - removed == {name for name, member in known.items() if member.wanted}


@given(lead_list=any_lists, rules=any_rules)
def test_standings_partition_the_copies(lead_list: LeadList, rules: Rules) -> None:
    """Every copy has one standing that fits its state, so that the counts of `status` add up."""
    stood = restand(lead_list, rules, NOON)
    counts = Counter(copy.standing for copy in stood.copies.values())
    assert len(stood.copies) == counts.total()
    for copy in stood.copies.values():
        assert (copy.standing is Standing.DUE) == (copy.due_at is not None) == (copy.waiting is not None)
        assert copy.parked is not None or copy.standing is not Standing.PARKED
        if copy.parked is not None and copy.standing is not Standing.PARKED:
            assert copy.waiting in (Waiting.FIRST_READ, Waiting.READ_BACK, Waiting.BACKOFF)
        assert (copy.standing is Standing.IN_SYNC) == (copy.since is None)
        if copy.standing is Standing.CONFLICT:
            assert copy.held


@given(lead_list=any_lists, rules=any_rules)
def test_standing_is_computed_from_state(lead_list: LeadList, rules: Rules) -> None:
    """Computing it again changes nothing."""
    once = restand(lead_list, rules, NOON)
    assert once == restand(once, rules, NOON)


@given(lead_list=any_lists, rules=any_rules)
def test_members_to_send_are_marked(lead_list: LeadList, rules: Rules) -> None:
    """The store loads only marked members: a plan without the others is the same plan."""
    stood = restand(lead_list, rules, NOON)
    partly = replace(stood, members={name: member for name, member in stood.members.items() if member.differs})
    for name, copy in stood.copies.items():
        assert plan(stood, copy, rules.remotes[name], NOON) == plan(partly, copy, rules.remotes[name], NOON)
