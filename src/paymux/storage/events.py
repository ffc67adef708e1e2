"""The outbox table."""

from typing import Any
from uuid import UUID

import msgspec

from paymux.storage.database import Connection, Row
from paymux.storage.statements import statements

_SQL = statements("events")


async def insert(
    db: Connection, *, installation: int | None, type: str, object: UUID, part: UUID, facts: dict[str, Any]  # noqa: A002 - the columns' names
) -> None:  # fmt: skip
    """Write an event in the transaction of its change."""
    await db.execute(_SQL["insert"], installation, type, object, part, msgspec.json.encode(facts).decode())


async def lead(db: Connection) -> bool:
    """Become the one relay, for as long as the connection lives."""
    leads = bool(await db.fetchval(_SQL["lead"]))
    if leads:
        await db.execute(_SQL["by_key"], "off")
    return leads


async def step_down(db: Connection) -> None:
    """Let somebody else lead."""
    await db.execute(_SQL["by_key"], "on")
    await db.fetchval(_SQL["step_down"])


async def waiting(db: Connection, limit: int) -> list[Row]:
    """Events to be told, oldest first, with what their payloads are made of."""
    return await db.fetch(_SQL["waiting"], limit)


async def told(db: Connection, numbers: list[int]) -> None:
    """Mark as published."""
    await db.execute(_SQL["told"], numbers)


async def refused(db: Connection, numbers: list[int]) -> None:
    """Count an attempt."""
    await db.execute(_SQL["refused"], numbers)
