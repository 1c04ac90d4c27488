"""The demo: people edit lead lists on three simulated remotes with faults, and the real worker keeps the copies equal.

    scenario.py   how many lists, for how long, what goes wrong; the settings file of the demo
    stage.py      a temporary folder with simulators, Redis, SQLite and the worker's processes
    people.py     who edits what where
    post.py       how the events travel: in bursts, twice, late, swapped, unreadable
    equality.py   the judge: compares what the simulators hold, field by field
    measuring.py  what the simulators saw, as figures
    play.py       the course of events, and the summary
    view.py       the figures on a terminal, as plain lines, as a picture

Called by `leadsync demo` alone. Nothing of the user's is read or written.
"""
