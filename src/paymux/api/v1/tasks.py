"""Tasks of an installation, and the records that were set aside."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import get

from paymux.api.errors import NoSuchThing
from paymux.api.paging import CursorText, PageSize
from paymux.api.requests import Injected, Parts, PathText
from paymux.domain.errors import InvalidId
from paymux.domain.ids import ConnectorID
from paymux.storage import set_aside, tasks
from paymux.storage.database import Row


class Task(msgspec.Struct, rename="camel", kw_only=True):
    """A task as the tutorial shows it, and when it runs."""

    id: UUID
    connector_id: str = msgspec.field(name="connectorID")
    created_at: datetime
    updated_at: datetime
    descriptor: msgspec.Raw
    status: str
    state: msgspec.Raw | None
    error: str
    attempts: int
    next_run_at: datetime | None
    running_since: datetime | None
    last_run_at: datetime | None
    last_success_at: datetime | None


class SetAside(msgspec.Struct, rename="camel", kw_only=True):
    """A record that could not be understood; ``seen`` counts how often it came."""

    id: UUID
    connector_id: str = msgspec.field(name="connectorID")
    task_id: UUID | None = msgspec.field(name="taskID")
    kind: str
    reason: str
    raw: str | None
    seen: int
    created_at: datetime
    last_seen_at: datetime


@get("/connectors/{provider:str}/tasks")
async def list_of_only(
    provider: PathText, parts: Injected, page_size: PageSize = None, cursor: CursorText = None
) -> dict[str, Any]:
    """List the tasks of the only installation of a connector."""
    return await _list(parts, await parts.installing.find(provider, None), page_size, cursor)


@get("/connectors/{provider:str}/{connector_id:str}/tasks")
async def list_tasks(
    provider: PathText,
    connector_id: PathText,
    parts: Injected,
    page_size: PageSize = None,
    cursor: CursorText = None,
) -> dict[str, Any]:
    """List the tasks of an installation, newest first."""
    row = await parts.installing.find(provider, ConnectorID.parse(connector_id))
    return await _list(parts, row, page_size, cursor)


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


@get("/connectors/{provider:str}/{connector_id:str}/set-aside")
async def list_set_aside(
    provider: PathText,
    connector_id: PathText,
    parts: Injected,
    page_size: PageSize = None,
    cursor: CursorText = None,
) -> dict[str, Any]:
    """List the records of an installation that could not be understood, newest first."""
    row = await parts.installing.find(provider, ConnectorID.parse(connector_id))
    place = parts.cursors.place(f"set-aside {row['uuid']}", page_size, cursor)
    found = await set_aside.listed(parts.database, row["id"], place.row, place.size + 1)
    shown = [
        SetAside(
            id=one["id"],
            connector_id=connector_id,
            task_id=one["task"],
            kind=one["kind"],
            reason=one["reason"],
            raw=one["raw"],
            seen=one["seen"],
            created_at=one["created_at"],
            last_seen_at=one["last_seen_at"],
        )
        for one in found
    ]
    keys = [(one["created_at"], one["id"]) for one in found]
    return parts.cursors.page(place, shown, keys, forward_only=True)


async def _list(parts: Parts, row: Row, page_size: str | None, cursor: str | None) -> dict[str, Any]:
    place = parts.cursors.place(f"tasks {row['uuid']}", page_size, cursor)
    found = await tasks.listed(parts.database, row["id"], place.row, place.size + 1)
    keys = [(one["created_at"], one["id"]) for one in found]
    return parts.cursors.page(place, [_task(row, one) for one in found], keys, forward_only=True)


async def _get(parts: Parts, row: Row, text: str) -> dict[str, Task]:
    try:
        task_id = UUID(text)
    except ValueError:
        raise InvalidId(text, "a task's id is a UUID") from None
    found = await tasks.get(parts.database, row["id"], task_id)
    if found is None:
        raise NoSuchThing("There is no such task.")
    return {"data": _task(row, found)}


def _task(installation: Row, row: Row) -> Task:
    return Task(
        id=row["id"],
        connector_id=ConnectorID(installation["provider"], installation["uuid"]).encode(),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        descriptor=msgspec.Raw(row["descriptor"].encode()),
        # Due and without a place, or without a worker yet.
        status="PENDING" if row["due"] and row["status"] != "FAILED" else row["status"],
        state=msgspec.Raw(row["state"].encode()) if row["state"] is not None else None,
        error=row["error"] or "",
        attempts=row["attempts"],
        next_run_at=row["next_run_at"] if row["running_since"] is None else None,
        running_since=row["running_since"],
        last_run_at=row["last_run_at"],
        last_success_at=row["last_success_at"],
    )


HANDLERS = [list_of_only, list_tasks, get_of_only, get_task, list_set_aside]
