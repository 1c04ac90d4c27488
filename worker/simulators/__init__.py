"""Instantly, Lance and a CRM as HTTP servers with limits and faults; used by demo, tests, benches and users.

    wire.py       a request in, a response out, routes, the refusal every handler may raise
    switches.py   what a user may choose: limits, latency, faults, and where the documents are silent
    checks.py     body and query checks with messages like those of the real servers
    faults.py     what goes wrong, by plan or by chance
    traffic.py    strict sliding windows, the log of calls, writes that overlap
    lists.py      the lead lists a simulator holds, their pages and their past
    webhooks.py   news of a change, signed, on its way out
    base.py       what the three have in common: gates, faults, then the handler
    instantly.py  lead lists and jobs; its leads in instantly_leads.py, instantly_bulk.py, instantly_shapes.py
    lance.py      lead lists with whole arrays and hydrated members
    crm.py        the reference CRM of contract section 5
    control.py    `/_sim/...`: look inside, seed, edit, switch
    server.py     the sockets; `leadsync simulator` and `python -m worker.simulators.server`
    running.py    a simulator in a child process, for the demo and the tests

Each simulator is a plain object: `answer(request, now)`. No clock and no socket inside, and chance comes from
its seed; so a simulation in virtual time drives the very object that the HTTP server serves.
"""
