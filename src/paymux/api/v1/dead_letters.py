"""Dead letters: events that a sink has refused until they were given up, and offering them again."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import QueryParameter

from paymux.api.errors import NoSuchThing
from paymux.api.fields import row_number
from paymux.api.openapi.described import described
from paymux.api.paging import CursorText, PageSize
from paymux.api.requests import Injected, PathText
from paymux.domain.errors import InvalidId
from paymux.events.types import as_json
from paymux.storage import sinks
from paymux.storage.database import Row

OfSink = Annotated[str | None, QueryParameter(name="sink")]


class DeadLetter(msgspec.Struct, rename="camel", kw_only=True):
    """An event as it was told, and why its sink did not take it."""

    id: str
    sink: str
    idempotency_key: UUID
    type: str
    reason: str
    attempts: int
    refused_at: datetime
    event: Any


class Requeued(msgspec.Struct):
    """How many events are offered again."""

    requeued: int


@get("/events/dead-letters")
@described(page=DeadLetter)
async def list_dead_letters(
    parts: Injected, *, sink: OfSink = None, page_size: PageSize = None, cursor: CursorText = None
) -> dict[str, Any]:
    """List events that were given up, newest first, of all sinks or of one."""
    place = parts.cursors.place("dead letters", page_size, cursor, sink or "")
    at = place.row[0] if place.row else None
    rows = await sinks.dead_letters(
        parts.database, at, place.size + 1, sink=place.query or None, back=place.backwards
    )
    return parts.cursors.page(place, [_shown(row) for row in rows], [(row["id"],) for row in rows])


@post("/events/dead-letters/{letter_id:str}/requeue", status_code=200)
async def requeue(letter_id: PathText, parts: Injected) -> dict[str, Requeued]:
    """Offer one again, as if for the first time."""
    letter = row_number(letter_id)
    if letter is None:
        raise InvalidId(letter_id, "a dead letter's id is a number")
    count = await sinks.requeue(parts.database, letter=letter)
    if not count:
        raise NoSuchThing("There is no such dead letter.")
    return {"data": Requeued(count)}


@post("/events/dead-letters/requeue", status_code=200)
async def requeue_all(parts: Injected, *, sink: OfSink = None) -> dict[str, Requeued]:
    """Offer all again, or all of one sink, 10,000 at most; the rest when it is asked once more."""
    return {"data": Requeued(await sinks.requeue(parts.database, sink=sink or None))}


def _shown(row: Row) -> DeadLetter:
    return DeadLetter(
        id=str(row["id"]),
        sink=row["sink"],
        idempotency_key=row["key"],
        type=row["type"],
        reason=row["reason"],
        attempts=row["attempts"],
        refused_at=row["refused_at"],
        event=as_json(row["body"]),
    )


HANDLERS = [list_dead_letters, requeue, requeue_all]
