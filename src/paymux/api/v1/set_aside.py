"""Records that were set aside: what could not be understood, and having it tried again."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import get, post

from paymux.api.openapi.described import described
from paymux.api.paging import CursorText, PageSize
from paymux.api.requests import Injected, PathText
from paymux.domain.ids import ConnectorID, parse_uuid
from paymux.storage import set_aside
from paymux.storage.database import Row


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
    replayed_at: datetime | None


class Replaying(msgspec.Struct):
    """How many records are being replayed."""

    replaying: int


@get("/connectors/{provider:str}/{connector_id:str}/set-aside")
@described(page=SetAside)
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
    found = await set_aside.listed(parts.database, row["id"], place.row, place.size + 1, back=place.backwards)
    keys = [(one["created_at"], one["id"]) for one in found]
    return parts.cursors.page(place, [_shown(connector_id, one) for one in found], keys)


@post("/connectors/{provider:str}/{connector_id:str}/set-aside/{record_id:str}/replay", status_code=200)
@described(errors=(409,))
async def replay(
    provider: PathText, connector_id: PathText, record_id: PathText, parts: Injected
) -> dict[str, SetAside]:
    """Have the connector read one record again, from its raw form."""
    row = await parts.installing.find(provider, ConnectorID.parse(connector_id))
    record = parse_uuid(record_id, "a set-aside record")
    return {"data": _shown(connector_id, await parts.replaying.one(row, record))}


@post("/connectors/{provider:str}/{connector_id:str}/set-aside/replay", status_code=202)
@described(errors=(409,))
async def replay_all(provider: PathText, connector_id: PathText, parts: Injected) -> dict[str, Replaying]:
    """Have the connector read again, in the background, all that were not replayed yet."""
    row = await parts.installing.find(provider, ConnectorID.parse(connector_id))
    return {"data": Replaying(await parts.replaying.all(row))}


def _shown(connector_id: str, row: Row) -> SetAside:
    return SetAside(
        id=row["id"],
        connector_id=connector_id,
        task_id=row["task"],
        kind=row["kind"],
        reason=row["reason"],
        raw=row["raw"],
        seen=row["seen"],
        created_at=row["created_at"],
        last_seen_at=row["last_seen_at"],
        replayed_at=row["replayed_at"],
    )


HANDLERS = [list_set_aside, replay, replay_all]
