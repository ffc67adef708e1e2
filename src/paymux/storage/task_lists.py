"""Reads tasks and their runs, to be shown."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from paymux.domain.task import TaskStatus
from paymux.storage.database import Database, Row
from paymux.storage.keyset import either_way
from paymux.storage.statements import statements

_SQL = statements("task_lists")


class Wanted(msgspec.Struct, frozen=True):
    """Which tasks: of one installation or of all, of a status, of a name."""

    installation: int | None = None
    status: TaskStatus | None = None
    name: str | None = None


async def listed(
    db: Database, wanted: Wanted, place: tuple[datetime, UUID] | None, limit: int, *, back: bool = False
) -> Sequence[Row]:
    """Tasks, newest first, each with provider and uuid of its installation.

    Those after a place in the list, or, ``back``, those before it.
    """
    args = (wanted.installation, *(place or (None, None)), limit)
    statuses = list(TaskStatus) if wanted.status is None else [wanted.status]
    if wanted.name is not None:
        return await either_way(db, _SQL["list_by_name"], *args, statuses, wanted.name, back=back)
    if wanted.status is not None:
        return await either_way(db, _SQL["list_by_status"], *args, statuses, back=back)
    return await either_way(db, _SQL["list"], *args, back=back)


async def get(db: Database, installation: int, task: UUID) -> Row | None:
    """One task."""
    return await db.fetchrow(_SQL["get"], installation, task)


async def runs(
    db: Database, task: UUID, place: int | None, limit: int, *, back: bool = False
) -> Sequence[Row]:
    """Ended runs of a task, the latest first: those after a place in the list, or before it."""
    return await either_way(db, _SQL["runs"], task, place, limit, back=back)
