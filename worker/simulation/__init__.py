"""Simulation: random histories that try to break leadsync, played in virtual time. `leadsync simulate`, and the tests.

A history is drawn from a seed: people who edit, remotes that lie, events that get lost, workers that are killed. What
is played against them are the use cases that production runs, over the in-memory twins of their ports.

    clock.py      a loop whose time jumps instead of passing
    faults.py     everything that may go wrong, and how often
    setting.py    the remotes and rules to play with: built in, or the user's own
    script.py     what one seed draws: how many lists and edits, and which faults exist at all
    life.py       a worker until it is killed: the ports as it sees them
    remote.py     a remote that lies; its writes are kept for the judges
    leads.py      a remote whose members are rows apart from their lists
    wire.py       what befalls one request to it
    post.py       events on their way: late, twice, or never
    people.py     people who edit
    workers.py    our processes, and the person who looks after them
    history.py    one history from its first list to peace
    judges.py     what every history must have come to
    member_judges.py  what must have become of members that are apart
    story.py      one history as a timeline that a person can follow
    tally.py      what many histories have met, in numbers
    batch.py      many histories over several processes
    reduce.py     a failing history made as small as it still fails
    sweep.py      one history again and again, killed at each of its port calls in turn
"""
