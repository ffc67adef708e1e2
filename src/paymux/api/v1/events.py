"""Events: the feed of all that was told, from any place on, and the schemas of what is told."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter

from paymux.api.errors import InvalidQuery, NoSuchThing
from paymux.api.fields import row_number
from paymux.api.lists import BATCH, NDJSON, as_lines, streamed
from paymux.api.openapi.described import described
from paymux.api.paging import CursorText, PageSize
from paymux.api.requests import Injected, OfConnector, Parts, PathText
from paymux.domain.errors import shown
from paymux.domain.ids import ConnectorID
from paymux.events.schemas import schema, schemas
from paymux.events.types import EventType, from_row
from paymux.storage import events
from paymux.storage.database import Row

_SCHEMA = "application/schema+json"

After = Annotated[str | None, QueryParameter(name="after")]
OfType = Annotated[str | None, QueryParameter(name="type")]


class FeedEvent(msgspec.Struct, rename="camel", kw_only=True):
    """An event, and its place in the feed."""

    position: str
    idempotency_key: UUID
    date: datetime
    app: str
    version: str
    type: str
    payload: Any


class _Asked(msgspec.Struct, frozen=True):
    """What a client wants of the feed: behind which place, of which types, of which installation."""

    after: int
    types: list[str] | None
    installation: int | None


@get("/events")
@described(page=FeedEvent, errors=(404,))
async def feed(
    parts: Injected,
    request: Request[Any, Any, Any],
    *,
    after: After = None,
    kind: OfType = None,
    connector: OfConnector = None,
    page_size: PageSize = None,
    cursor: CursorText = None,
) -> Any:
    """List events, oldest first, from behind a place on, a page or all there are as lines.

    What is not in line yet is put there before, so all that was committed is in it.
    """
    asked = await _read(parts, after or cursor, kind, connector)
    size = parts.cursors.place("events", page_size, None).size
    if NDJSON in request.headers.get("accept", ""):
        first = await _behind(parts, asked, asked.after, BATCH)
        return streamed(_lines(parts, asked, *first))
    rows, until = await _behind(parts, asked, asked.after, size + 1)
    more = len(rows) > size
    page = rows[:size]
    body: dict[str, Any] = {"pageSize": size, "hasMore": more or until is not None}
    if body["hasMore"]:
        body["next"] = str(page[-1]["position"] if more else until)
    return {"cursor": {**body, "data": [_shown(row) for row in page]}}


async def _read(parts: Parts, after: str | None, kind: str | None, connector: str | None) -> _Asked:
    types = [one for one in (kind or "").split(",") if one]
    for one in types:
        if one not in list(EventType):
            raise InvalidQuery(f"type: {shown(one)} is none of {', '.join(EventType)}")
    installation = None
    if connector:
        known = ConnectorID.parse(connector)
        installation = (await parts.installing.find(known.provider, known))["id"]
    return _Asked(await _place(parts, after), types or None, installation)


async def _place(parts: Parts, after: str | None) -> int:
    """The place behind which to begin; the beginning, where none is named.

    Raises:
        InvalidQuery: it is no place, or events between it and what is kept are gone, or it has not been
            reached yet.
    """
    if after is None or after == "0":
        return 0
    place = row_number(after)
    if place is None:
        raise InvalidQuery("after: must be the position of an event in this feed; leave it out to begin anew")
    ends = await events.ends(parts.database)
    if place > ends.last:
        raise InvalidQuery(
            "after: no event has come so far. If the database was restored from a backup, begin anew"
            " without it"
        )
    if place < ends.pruned:
        raise InvalidQuery(
            "after: events behind it have been deleted for their age (PAYMUX_EVENT_RETENTION). Read the lists"
            " for what you have missed, and begin anew without it"
        )
    return place


async def _behind(parts: Parts, asked: _Asked, place: int, limit: int) -> tuple[list[Row], int | None]:
    await events.line_up(parts.database)
    return await events.feed(parts.database, place, limit, types=asked.types, installation=asked.installation)


async def _lines(parts: Parts, asked: _Asked, rows: list[Row], until: int | None) -> AsyncIterator[bytes]:
    while True:
        if rows:
            yield as_lines(map(_shown, rows))
        if len(rows) < BATCH and until is None:
            return
        rows, until = await _behind(parts, asked, until or rows[-1]["position"], BATCH)


def _shown(row: Row) -> FeedEvent:
    event = from_row(row)
    return FeedEvent(
        position=str(row["position"]),
        idempotency_key=event.idempotency_key,
        date=event.date,
        app=event.app,
        version=event.version,
        type=event.type,
        payload=event.payload,
    )


@get("/events/schemas", sync_to_thread=False)
def all_schemas() -> dict[str, Any]:
    """The JSON Schema of every type of event, by type."""
    return {"data": schemas()}


@get("/events/schemas/{event_type:str}", sync_to_thread=False)
@described(answer=dict[str, Any], media_type=_SCHEMA)
def one_schema(event_type: PathText) -> Response[dict[str, Any]]:
    """The JSON Schema of one type, as it is: tools can be pointed at this address."""
    try:
        kind = EventType(event_type)
    except ValueError:
        raise NoSuchThing(f"There is no such type of event; there are {', '.join(EventType)}.") from None
    return Response(schema(kind), media_type=_SCHEMA)


HANDLERS = [feed, all_schemas, one_schema]
