"""Reads tasks and their runs, to be shown."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from paymux.domain.task import TaskStatus
from paymux.storage.database import Database, Row
from paymux.storage.statements import statements

_SQL = statements("task_lists")


class Wanted(msgspec.Struct, frozen=True):
    """Which tasks: of one installation or of all, of a status, of a name."""

    installation: int | None = None
    status: TaskStatus | None = None
    name: str | None = None


async def listed(
    db: Database, wanted: Wanted, after: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Row]:
    """Tasks, newest first, each with provider and uuid of its installation."""
    place = (wanted.installation, *(after or (None, None)), limit)
    statuses = list(TaskStatus) if wanted.status is None else [wanted.status]
    if wanted.name is not None:
        return await db.fetch(_SQL["list_by_name"], *place, statuses, wanted.name)
    if wanted.status is not None:
        return await db.fetch(_SQL["list_by_status"], *place, statuses)
    return await db.fetch(_SQL["list"], *place)


async def get(db: Database, installation: int, task: UUID) -> Row | None:
    """One task."""
    return await db.fetchrow(_SQL["get"], installation, task)


async def runs(db: Database, task: UUID, before: int | None, limit: int) -> Sequence[Row]:
    """Ended runs of a task, the latest first, from the one before ``before``."""
    return await db.fetch(_SQL["runs"], task, before, limit)
