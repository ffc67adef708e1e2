"""Set-aside records: read, and marked when they were replayed."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from paymux.storage.database import Connection, Database, Row
from paymux.storage.keyset import either_way
from paymux.storage.statements import statements

_SQL = statements("set_aside")


async def listed(
    db: Database, installation: int, place: tuple[datetime, UUID] | None, limit: int, *, back: bool = False
) -> Sequence[Row]:
    """Set-aside records of an installation, newest first: those after a place in the list, or before it."""
    return await either_way(db, _SQL["list"], installation, *(place or (None, None)), limit, back=back)


async def get(db: Database, installation: int, record: UUID) -> Row | None:
    """One set-aside record."""
    return await db.fetchrow(_SQL["get"], installation, record)


async def unreplayed(
    db: Database, installation: int, after: tuple[datetime, UUID] | None, limit: int
) -> list[Row]:
    """Those that were not replayed, oldest first."""
    return await db.fetch(_SQL["unreplayed"], installation, *(after or (None, None)), limit)


async def count_unreplayed(db: Database, installation: int) -> int:
    """Count of those that were not replayed."""
    return int(await db.fetchval(_SQL["count_unreplayed"], installation))


async def replayed(db: Connection, installation: int, records: Sequence[UUID]) -> None:
    """Mark them, in the transaction of what was made of them."""
    await db.execute(_SQL["replayed"], installation, list(records))


async def refused(db: Database, installation: int, record: UUID, reason: str) -> None:
    """Keep why one still makes no sense."""
    await db.execute(_SQL["refused"], installation, record, reason)
