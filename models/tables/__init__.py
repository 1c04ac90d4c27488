"""Tables, one module a theme. Only `worker.store` and the migrations use them.

`table=True` classes do not validate: rows are made from the frozen value types, never from outside data.
"""

from sqlmodel import SQLModel

from models.tables import audit, ledger, lists, remotes, scans

__all__ = ["SQLModel", "audit", "ledger", "lists", "remotes", "scans"]
