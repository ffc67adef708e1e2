"""Reads payments, each with its reports."""

from datetime import datetime
from itertools import groupby
from operator import itemgetter
from uuid import UUID

import msgspec

from paymux.storage.database import Database, Row
from paymux.storage.statements import statements

_SQL = statements("payments")


class Where(msgspec.Struct, frozen=True):
    """Equal to; None does not count. ``installation`` is the row's key."""

    installation: int | None = None
    reference: str | None = None
    status: str | None = None
    type: str | None = None
    asset: str | None = None


async def listed(
    db: Database, where: Where, at: tuple[datetime, UUID] | None, *, backwards: bool, limit: int
) -> list[list[Row]]:
    """Payments after (or before) one, newest first: a list of rows each, one a report, newest first."""
    rows = await db.fetch(
        _SQL["list_previous" if backwards else "list_next"],
        *(at or (None, None)),
        *(where.installation, where.reference, where.status, where.type, where.asset),
        limit,
    )
    return [list(group) for _, group in groupby(rows, key=itemgetter("key"))]


async def get(db: Database, key: UUID) -> list[Row]:
    """One payment, a row a report, newest first; empty when there is none."""
    return await db.fetch(_SQL["get"], key)
