"""Sinks as the database knows them: how far each has come, what it refused, how it is doing."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from paymux.storage.database import Connection, Database, Row, affected
from paymux.storage.keyset import either_way
from paymux.storage.readings import COUNTED_MAX
from paymux.storage.statements import statements

_SQL = statements("sinks")

# Dead letters deleted, and requeued, at a time.
BATCH = 1000
REQUEUED_MAX = 10_000


class Refused(NamedTuple):
    """An event that a sink refused, as it was told, and why."""

    key: UUID
    type: str
    object: UUID
    body: str
    reason: str


class Again(NamedTuple):
    """One that was not taken this time either: why, when it is offered again, and whether that counts."""

    id: int
    reason: str
    # None: never, it is a dead letter.
    wait: timedelta | None
    counts: bool


async def declare(db: Database, names: Sequence[str]) -> None:
    """These are the sinks there are."""
    async with db.transaction() as connection:
        await connection.execute(_SQL["declare"], list(names))
        await connection.execute(_SQL["retire"], list(names))


async def lead(db: Connection, name: str) -> int | None:
    """Become the one relay of a sink, for as long as the connection lives; returns how far the sink has come.

    None: another one leads.
    """
    if not await db.fetchval(_SQL["lead"], name):
        return None
    await db.execute(_SQL["by_key"], "off")
    return int(await db.fetchval(_SQL["position"], name))


async def step_down(db: Connection, name: str) -> None:
    """Let somebody else lead."""
    await db.execute(_SQL["by_key"], "on")
    await db.fetchval(_SQL["step_down"], name)


async def told(
    db: Connection, name: str, position: int, refused: Sequence[Refused] = (), wait: timedelta = timedelta()
) -> None:
    """Note how far a sink has come; what it refused on the way is offered again after ``wait``."""
    if not refused:
        await db.execute(_SQL["told"], name, position)
        return
    async with db.transaction():
        await db.execute(_SQL["told"], name, position)
        await db.execute(_SQL["refuse"], name, wait, *map(list, zip(*refused, strict=True)))


async def failing(db: Connection, name: str, error: str) -> None:
    """Note why a sink takes nothing at the moment."""
    await db.execute(_SQL["failing"], name, error)


async def due(db: Connection, name: str, limit: int) -> list[Row]:
    """Refused events whose time has come again."""
    return await db.fetch(_SQL["due"], name, limit)


async def taken(db: Connection, ids: Sequence[int]) -> None:
    """Forget these: the sink has taken them after all."""
    await db.execute(_SQL["taken"], list(ids))


async def refused_again(db: Connection, rows: Sequence[Again]) -> None:
    """Note what came of offering refused ones again."""
    await db.execute(_SQL["refused_again"], *map(list, zip(*rows, strict=True)))


async def dead_letters(
    db: Database, place: int | None, limit: int, *, sink: str | None = None, back: bool = False
) -> Sequence[Row]:
    """Events that were given up, newest first: those after a place in the list, or before it."""
    return await either_way(db, _SQL["dead"], place, sink, limit, back=back)


async def requeue(db: Database, *, letter: int | None = None, sink: str | None = None) -> int:
    """Offer dead letters again: one, all of a sink, or all; returns how many, REQUEUED_MAX at most."""
    return affected(await db.execute(_SQL["requeue"], letter, sink, REQUEUED_MAX))


async def prune(db: Database, kept: timedelta) -> int:
    """Delete up to BATCH dead letters that are older; returns how many."""
    return affected(await db.execute(_SQL["prune"], kept, BATCH))


async def backlog(db: Database) -> Sequence[Any]:
    """How far behind each sink is: waiting, oldest in seconds, refused, dead; COUNTED_MAX of each at most."""
    return await db.fetch(_SQL["backlog"], COUNTED_MAX)
