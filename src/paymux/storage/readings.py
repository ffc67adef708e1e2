"""Reads what metrics show of the database."""

from paymux.storage.database import Database, Row
from paymux.storage.statements import statements

_SQL = statements("readings")

# Nobody acts differently on a backlog beyond this; counting on would take longer and longer.
COUNTED_MAX = 100_000


async def outbox(db: Database) -> Row:
    """Events that some sink does not have yet, COUNTED_MAX at most, and the age of the oldest in seconds."""
    row = await db.fetchrow(_SQL["outbox"], COUNTED_MAX)
    assert row is not None  # noqa: S101 - it selects exactly one
    return row


async def transfers(db: Database) -> list[Row]:
    """By provider: orders whose outcome is unknown, and those of them that a person has to decide on."""
    return await db.fetch(_SQL["transfers"])


async def tasks(db: Database) -> list[Row]:
    """By provider: waiting (COUNTED_MAX an installation at most), running, oldest, installations."""
    return await db.fetch(_SQL["tasks"], COUNTED_MAX)
