"""The outbox: events written with the change, and the line in which they are told."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from paymux.storage.database import Connection, Database, Row
from paymux.storage.statements import statements

_SQL = statements("events")

# Places in the line that one question looks through for rare types: some 30 ms.
WINDOW = 50_000
# Of raw forms and facts, read at once: one may be of megabytes, and a thousand of those are nobody's memory.
BYTES = 16 * 1024 * 1024
# Events put in line, or deleted, at a time.
BATCH = 1000


class Ends(msgspec.Struct, frozen=True):
    """The last place in the line, and the last one whose event was deleted for its age."""

    last: int
    pruned: int


async def insert(
    db: Connection, *, installation: int | None, type: str, object: UUID, part: UUID, facts: dict[str, Any]  # noqa: A002 - the columns' names
) -> None:  # fmt: skip
    """Write an event in the transaction of its change."""
    await db.execute(_SQL["insert"], installation, type, object, part, msgspec.json.encode(facts).decode())


async def line_up(db: Connection | Database) -> int:
    """Give places to events that have been committed, up to BATCH of them; returns to how many."""
    return int(await db.fetchval(_SQL["line_up"], BATCH))


async def after(
    db: Connection | Database, position: int, limit: int, but: Iterable[int] = ()
) -> tuple[list[Row], int | None]:
    """The events behind a place, in line, ``but`` for some places, with what their payloads are made of.

    Also the place up to which was looked, where there may be more behind it, though fewer than ``limit``
    were found: together they are of BYTES, or there is one.
    """
    return await _described(db, await db.fetch(_SQL["after"], position, limit, list(but)))


async def feed(
    db: Database, position: int, limit: int, *, types: Sequence[str] | None, installation: int | None
) -> tuple[list[Row], int | None]:
    """As ``after``, of some types or of one installation; of rare types, WINDOW places are looked through."""
    kinds = None if types is None else list(types)
    if installation is not None:
        return await _described(db, await db.fetch(_SQL["after_of"], installation, position, kinds, limit))
    if kinds is None:
        return await after(db, position, limit)
    window = position + WINDOW
    rows, until = await _described(db, await db.fetch(_SQL["after_within"], position, window, kinds, limit))
    if until is None and len(rows) < limit and window < (await ends(db)).last:
        until = window
    return rows, until


async def ends(db: Connection | Database) -> Ends:
    """The ends of the line."""
    row = await db.fetchrow(_SQL["ends"])
    assert row is not None  # noqa: S101 - there is exactly one
    return Ends(row["last"], row["pruned"])


async def prune(db: Database, kept: timedelta) -> int:
    """Delete up to BATCH of the events that are told everywhere and older than that; returns how many."""
    return int(await db.fetchval(_SQL["prune"], kept, BATCH))


async def _described(db: Connection | Database, found: list[Row]) -> tuple[list[Row], int | None]:
    if not found:
        return [], None
    rows = await db.fetch(_SQL["described"], [row["seq"] for row in found], BYTES)
    return rows, rows[-1]["position"] if 0 < len(rows) < len(found) else None
