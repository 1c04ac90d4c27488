"""Tables, one module a theme. Only `worker.store` and the migrations use them.

`table=True` classes do not validate: rows are made from the frozen value types, never from outside data.
"""

from sqlmodel import SQLModel

from models.tables import alerts, audit, ledger, lists, members, remotes, scans, totals

__all__ = ["SQLModel", "alerts", "audit", "ledger", "lists", "members", "remotes", "scans", "totals"]
