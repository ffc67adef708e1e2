"""Runs of a task: how each went and what it brought in."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from litestar import get

from paymux.api.openapi.described import described
from paymux.api.paging import CursorText, PageSize
from paymux.api.requests import Injected, PathText
from paymux.domain.ids import ConnectorID, parse_uuid
from paymux.storage import task_lists
from paymux.storage.database import Row

_MILLISECOND = timedelta(milliseconds=1)


class Run(msgspec.Struct, rename="camel", kw_only=True):
    """A run that has ended. ``seen`` counts records, of which the other counts are parts."""

    # As text: it grows beyond what every client's numbers hold.
    id: str
    task_id: UUID = msgspec.field(name="taskID")
    started_at: datetime
    ended_at: datetime
    duration_ms: int
    outcome: str
    error: str | None
    seen: int
    added: int
    changed: int
    unchanged: int
    set_aside: int


@get("/connectors/{provider:str}/{connector_id:str}/tasks/{task_id:str}/runs")
@described(page=Run)
async def list_runs(
    provider: PathText,
    connector_id: PathText,
    task_id: PathText,
    parts: Injected,
    *,
    page_size: PageSize = None,
    cursor: CursorText = None,
) -> dict[str, Any]:
    """List the runs of a task that have ended, the latest first."""
    row = await parts.installing.find(provider, ConnectorID.parse(connector_id))
    task = await parts.operating.get(row["id"], parse_uuid(task_id, "a task"))
    place = parts.cursors.place(f"runs of {task['id']}", page_size, cursor)
    number = place.row[0] if place.row is not None else None
    found = await task_lists.runs(parts.database, task["id"], number, place.size + 1, back=place.backwards)
    return parts.cursors.page(place, [_run(one) for one in found], [(one["id"],) for one in found])


def _run(row: Row) -> Run:
    return Run(
        id=str(row["id"]),
        task_id=row["task"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        duration_ms=(row["ended_at"] - row["started_at"]) // _MILLISECOND,
        outcome=row["outcome"],
        error=row["error"],
        seen=row["seen"],
        added=row["added"],
        changed=row["changed"],
        unchanged=row["unchanged"],
        set_aside=row["aside"],
    )


HANDLERS = [list_runs]
