"""Tasks of an installation."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import QueryParameter

from paymux.api.errors import InvalidQuery
from paymux.api.openapi.described import described
from paymux.api.paging import CursorText, PageSize, Place
from paymux.api.requests import Injected, OfConnector, Parts, PathText
from paymux.domain.ids import ConnectorID, parse_uuid
from paymux.domain.task import TaskStatus
from paymux.storage import installations, task_lists
from paymux.storage.database import Row

# Names longer than this are not kept apart; see migrations/0002_operators.sql.
NAME_MAX = 200

OfStatus = Annotated[str | None, QueryParameter(name="status")]
OfName = Annotated[str | None, QueryParameter(name="name")]


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which tasks are asked for; a cursor carries it along."""

    status: TaskStatus | None = None
    name: str | None = None
    connector_id: str | None = None

    def encoded(self) -> str | None:
        """As a cursor keeps it; None for all tasks."""
        return None if self == Asked() else msgspec.json.encode(self).decode()


class Task(msgspec.Struct, rename="camel", kw_only=True):
    """A task as the tutorial shows it, and when it runs."""

    id: UUID
    connector_id: str = msgspec.field(name="connectorID")
    created_at: datetime
    updated_at: datetime
    descriptor: msgspec.Raw
    status: str
    paused: bool
    state: msgspec.Raw | None
    error: str
    attempts: int
    next_run_at: datetime | None
    running_since: datetime | None
    last_run_at: datetime | None
    last_success_at: datetime | None


@get("/tasks")
@described(page=Task)
async def list_all(
    parts: Injected,
    *,
    connector: OfConnector = None,
    status: OfStatus = None,
    name: OfName = None,
    page_size: PageSize = None,
    cursor: CursorText = None,
) -> dict[str, Any]:
    """List the tasks of all installations, or of one, newest first."""
    asked = _asked(status, name, connector)
    return await _list(parts, None, asked, parts.cursors.place("tasks", page_size, cursor, asked.encoded()))


@get("/connectors/{provider:str}/tasks")
@described(page=Task)
async def list_of_only(
    provider: PathText,
    parts: Injected,
    *,
    status: OfStatus = None,
    name: OfName = None,
    page_size: PageSize = None,
    cursor: CursorText = None,
) -> dict[str, Any]:
    """List the tasks of the only installation of a connector."""
    row = await parts.installing.find(provider, None)
    asked = _asked(status, name)
    place = parts.cursors.place(f"tasks {row['uuid']}", page_size, cursor, asked.encoded())
    return await _list(parts, row["id"], asked, place)


@get("/connectors/{provider:str}/{connector_id:str}/tasks")
@described(page=Task)
async def list_tasks(
    provider: PathText,
    connector_id: PathText,
    parts: Injected,
    *,
    status: OfStatus = None,
    name: OfName = None,
    page_size: PageSize = None,
    cursor: CursorText = None,
) -> dict[str, Any]:
    """List the tasks of an installation, newest first."""
    row = await parts.installing.find(provider, ConnectorID.parse(connector_id))
    asked = _asked(status, name)
    place = parts.cursors.place(f"tasks {row['uuid']}", page_size, cursor, asked.encoded())
    return await _list(parts, row["id"], asked, place)


@get("/connectors/{provider:str}/tasks/{task_id:str}")
async def get_of_only(provider: PathText, task_id: PathText, parts: Injected) -> dict[str, Task]:
    """Read a task of the only installation of a connector."""
    return await _get(parts, await parts.installing.find(provider, None), task_id)


@get("/connectors/{provider:str}/{connector_id:str}/tasks/{task_id:str}")
async def get_task(
    provider: PathText, connector_id: PathText, task_id: PathText, parts: Injected
) -> dict[str, Task]:
    """Read a task."""
    return await _get(parts, await parts.installing.find(provider, ConnectorID.parse(connector_id)), task_id)


async def _list(parts: Parts, installation: int | None, asked: Asked, place: Place) -> dict[str, Any]:
    if place.query:  # what the list was asked for when it began
        asked = msgspec.json.decode(place.query, type=Asked)
    if asked.connector_id is not None:
        connector = ConnectorID.parse(asked.connector_id)
        row = await installations.get(parts.database, connector.reference)
        # None has the key 0: what does not exist has no tasks.
        installation = row["id"] if row is not None and row["provider"] == connector.provider else 0
    wanted = task_lists.Wanted(installation, asked.status, asked.name)
    found = await task_lists.listed(parts.database, wanted, place.row, place.size + 1, back=place.backwards)
    keys = [(one["created_at"], one["id"]) for one in found]
    return parts.cursors.page(place, [show(one) for one in found], keys)


def _asked(status: str | None, name: str | None, connector: str | None = None) -> Asked:
    """Read what is asked for; raises InvalidQuery. An empty parameter is an absent one."""
    known = None
    if status:
        if status not in TaskStatus.__members__:
            raise InvalidQuery(f"status: must be one of {', '.join(TaskStatus)}")
        known = TaskStatus(status)
    if name and (len(name) > NAME_MAX or "\0" in name):
        raise InvalidQuery(f"name: must be the name of a task, of {NAME_MAX} characters at most")
    if connector:
        ConnectorID.parse(connector)
    return Asked(known, name or None, connector or None)


async def _get(parts: Parts, row: Row, text: str) -> dict[str, Task]:
    return {"data": show(await parts.operating.get(row["id"], parse_uuid(text, "a task")))}


def show(row: Row) -> Task:
    """A task from its row."""
    return Task(
        id=row["id"],
        connector_id=ConnectorID(row["provider"], row["uuid"]).encode(),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        descriptor=msgspec.Raw(row["descriptor"].encode()),
        status=row["status"],
        paused=row["paused"],
        state=msgspec.Raw(row["state"].encode()) if row["state"] is not None else None,
        error=row["error"] or "",
        attempts=row["attempts"],
        next_run_at=row["next_run_at"] if row["running_since"] is None and not row["paused"] else None,
        running_since=row["running_since"],
        last_run_at=row["last_run_at"],
        last_success_at=row["last_success_at"],
    )


HANDLERS = [list_all, list_of_only, list_tasks, get_of_only, get_task]
