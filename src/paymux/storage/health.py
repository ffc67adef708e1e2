"""Reads how installations and the whole are doing."""

from collections.abc import Sequence
from typing import Any

from paymux.storage.database import Database, Row
from paymux.storage.statements import statements

_SQL = statements("health")


async def listed(db: Database, installation: int | None = None) -> Sequence[Row]:
    """What the status of each installation follows from; of one, or of all, oldest first."""
    return await db.fetch(_SQL["all"], installation)


async def counts(db: Database, installation: int) -> dict[str, int]:
    """Tasks by status."""
    return {row["status"]: row["count"] for row in await db.fetch(_SQL["counts"], installation)}


async def times(db: Database, installation: int) -> Any:
    """Last success, next run, and the lag in seconds."""
    return await db.fetchrow(_SQL["times"], installation)


async def failing(db: Database, installation: int, limit: int) -> Sequence[Row]:
    """Tasks whose last run failed."""
    return await db.fetch(_SQL["failing"], installation, limit)


async def config_error(db: Database, installation: int) -> str | None:
    """What a run said about a config that can never work, until one goes well."""
    found: str | None = await db.fetchval(_SQL["config_error"], installation)
    return found


async def set_aside(db: Database, installation: int) -> int:
    """Count of its set-aside records."""
    return int(await db.fetchval(_SQL["set_aside"], installation))
