"""The tables, as the statements of the store name them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table

from models.tables.alerts import AlertRow
from models.tables.audit import AuditRow
from models.tables.ledger import AttemptRow, ChangeRow, RejectRow, TraceRow
from models.tables.lists import CopyRow, LeadListRow, LinkRow, MemberRow, WantedRow
from models.tables.members import ExclusionRow, IdentityRow, NamingRow, PersonRow
from models.tables.remotes import RemoteRow
from models.tables.scans import GoneRow, PlanRow, ScanFindingRow, ScanPageRow, ScanRow
from models.tables.totals import TotalRow


def _table(row: type[Any]) -> Table:
    """SQLModel's classes do not tell type checkers of it."""
    table: Table = row.__table__
    return table


LISTS = _table(LeadListRow)
LINKS = _table(LinkRow)
WANTED = _table(WantedRow)
COPIES = _table(CopyRow)
MEMBERS = _table(MemberRow)
CHANGES = _table(ChangeRow)
ATTEMPTS = _table(AttemptRow)
TRACES = _table(TraceRow)
REJECTS = _table(RejectRow)
REMOTES = _table(RemoteRow)
IDENTITIES = _table(IdentityRow)
PEOPLE = _table(PersonRow)
EXCLUSIONS = _table(ExclusionRow)
NAMINGS = _table(NamingRow)
SCANS = _table(ScanRow)
PAGES = _table(ScanPageRow)
FINDINGS = _table(ScanFindingRow)
GONE_LISTS = _table(GoneRow)
PLANS = _table(PlanRow)
AUDIT = _table(AuditRow)
ALERTS = _table(AlertRow)
TOTALS = _table(TotalRow)
