"""Pools: accounts that people look at together, and what those hold together."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from paymux.domain.filter import Kind
from paymux.storage import listing
from paymux.storage.database import Connection, Database, Row, affected
from paymux.storage.listing import Asked, Column, Noun, Place, TooSlow
from paymux.storage.statements import statements

_SQL = statements("pools")

# Accounts of one answer, which is in memory as a whole: twice as many as one pool has at most.
SHOWN_MAX = 200_000

POOLS = Noun(
    "pool",
    {
        "id": Column(Kind.KEY, "r.id"),
        "name": Column(Kind.TEXT, "r.name"),
        "createdAt": Column(Kind.TIME, "r.created_at"),
    },
    _SQL["list"],
)


async def listed(db: Database, asked: Asked, limit: int) -> tuple[list[tuple[Row, list[Row]]], list[Place]]:
    """Pools, each with its accounts, and the place of each.

    Raises:
        TooSlow: it took longer than a list may, or has more accounts.
    """
    rows, places = await listing.listed(db, POOLS, asked, limit)
    of: dict[UUID, list[Row]] = {row["id"]: [] for row in rows}
    found = await accounts(db, list(of))
    if len(found) > SHOWN_MAX:
        raise TooSlow(f"These pools have more than {SHOWN_MAX:,} accounts together. Lower pageSize.")
    for account in found:
        of[account["pool"]].append(account)
    return [(row, of[row["id"]]) for row in rows], places


async def get(db: Database, pool: UUID) -> Row | None:
    """One pool, without its accounts."""
    return await db.fetchrow(_SQL["get"], pool)


async def hold(db: Connection, pool: UUID) -> Row | None:
    """One pool that nobody else changes until the end of the transaction."""
    return await db.fetchrow(_SQL["hold"], pool)


async def accounts(db: Database | Connection, pools: Sequence[UUID], most: int | None = None) -> list[Row]:
    """Accounts of pools, in an order that stays; of each so many at most, of all SHOWN_MAX and one more."""
    return await db.fetch(_SQL["accounts"], list(pools), most, SHOWN_MAX + 1)


async def balances(db: Database, pool: UUID, at: datetime | None = None) -> list[Row]:
    """What its accounts held together at a time, or hold now: asset and amount."""
    return await db.fetch(_SQL["balances"], pool, at)


async def known(db: Connection, keys: Sequence[UUID]) -> dict[UUID, Row]:
    """Of these accounts those that there are, with their installation and provider."""
    return {row["key"]: row for row in await db.fetch(_SQL["known"], list(keys))}


async def insert(db: Connection, pool: UUID, name: str) -> Row:
    """Make a pool without accounts. Raises UniqueViolation when the name is taken."""
    row = await db.fetchrow(_SQL["insert"], pool, name)
    assert row is not None  # noqa: S101 - it returns what it inserts
    return row


async def add(db: Connection, pool: UUID, rows: Sequence[Row]) -> int:
    """Put accounts, as ``known`` has them, into a pool; returns how many were not in it before."""
    added = await db.execute(
        _SQL["add"], pool, [row["key"] for row in rows], [row["installation"] for row in rows]
    )
    return affected(added)


async def count(db: Connection, pool: UUID) -> int:
    """Count of its accounts, shown or not."""
    return int(await db.fetchval(_SQL["count"], pool))


async def remove(db: Connection, pool: UUID, account: UUID) -> bool:
    """Take an account out; False when it was not in it."""
    return affected(await db.execute(_SQL["remove"], pool, account)) == 1


async def delete(db: Connection, pool: UUID) -> None:
    """Delete a pool."""
    await db.execute(_SQL["delete"], pool)
