"""Reads set-aside records."""

from datetime import datetime
from uuid import UUID

from paymux.storage.database import Database, Row
from paymux.storage.statements import statements

_SQL = statements("set_aside")


async def listed(
    db: Database, installation: int, after: tuple[datetime, UUID] | None, limit: int
) -> list[Row]:
    """Set-aside records of an installation, newest first."""
    return await db.fetch(_SQL["list"], installation, *(after or (None, None)), limit)
