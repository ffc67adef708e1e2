"""What every filtered list does: read what was asked, and answer with a page or with everything.

A filter comes as ``query`` or as the body, which clients of the tutorial's service send with a GET. With
``Accept: application/x-ndjson`` there are no pages: each row is a line, read as the client takes them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from litestar import Request
from litestar.response import Stream

from paymux.api import filters
from paymux.api.errors import InvalidQuery
from paymux.api.paging import Place
from paymux.api.requests import Parts, json_object
from paymux.domain.errors import DomainError
from paymux.domain.filter import Condition, Every
from paymux.domain.times import parse_rfc3339
from paymux.storage.listing import Asked, Column, TooSlow

NDJSON = "application/x-ndjson"
# Rows that are in memory at once: enough to hide the round trip, and a row may hold megabytes.
BATCH = 200

Read: TypeAlias = Callable[[Asked, int], Awaitable[tuple[Sequence[Any], Sequence[tuple[Any, ...]]]]]
Shown: TypeAlias = Callable[[Any], Any]

_encode = msgspec.json.Encoder().encode


class Listing(msgspec.Struct, frozen=True):
    """A list as an address names it: its cursors' scope, its columns, how its rows are read and shown.

    ``within`` says what holds for all of it; it is given those of the ``parameters`` that a client has said.
    """

    scope: str
    columns: Mapping[str, Column]
    read: Read
    shown: Shown
    within: Callable[[Mapping[str, str]], Sequence[Condition]] = lambda _: ()
    parameters: tuple[str, ...] = ()


async def answer(
    parts: Parts, request: "Request[Any, Any, Any]", listing: Listing, page_size: str | None = None
) -> dict[str, Any] | Stream:
    """One page, or all of it as lines. ``page_size`` goes before what the address says.

    Raises:
        InvalidQuery, InvalidBody: what was asked makes no sense; the message says what would.
    """
    asked = request.query_params
    said = [await _filter(request), {name: asked[name] for name in listing.parameters if asked.get(name)}]
    by = filters.order(asked.getall("sort", []), listing.columns)
    sort = ",".join(f"{one.column}:{'desc' if one.descending else 'asc'}" for one in by)
    lines = NDJSON in request.headers.get("accept", "")
    if lines and asked.get("cursor"):
        raise InvalidQuery(f"cursor: {NDJSON} has no pages; leave the cursor out")
    place = parts.cursors.place(
        listing.scope,
        page_size or asked.get("pageSize"),
        asked.get("cursor"),
        filters.written(said) if any(said) else "",
        sort,
    )
    question = _question(listing, place)
    try:
        if lines:
            # The first rows before the answer begins: what goes wrong is still an answer of its own.
            rows, places = await listing.read(question, BATCH)
            return streamed(_lines(listing, question, rows, places))
        rows, places = await listing.read(question, place.size + 1)
    except TooSlow as error:
        raise InvalidQuery(f"query: {error}") from None
    return parts.cursors.page(place, [listing.shown(row) for row in rows], places)


def streamed(lines: AsyncIterator[bytes]) -> Stream:
    """An answer of lines."""
    # A header: the framework prefers the handler's own media type to one given here.
    return Stream(lines, headers={"Content-Type": NDJSON})


def as_lines(shown: Iterable[Any]) -> bytes:
    """Each as JSON on a line of its own."""
    # A provider's raw form may be spread over lines; within JSON a bare one is only space.
    return b"".join(_encode(one).replace(b"\n", b" ") + b"\n" for one in shown)


def time(name: str, text: str) -> datetime:
    """What a parameter says that names a time.

    Raises:
        InvalidQuery: it names none.
    """
    try:
        # A plus that nobody has encoded comes as a space.
        return parse_rfc3339(text.replace(" ", "+"))
    except DomainError as error:
        raise InvalidQuery(f"{name}: {error}") from None


async def _filter(request: "Request[Any, Any, Any]") -> Any:
    """The filter as JSON, from the address or from the body; None where there is none."""
    text = request.query_params.get("query")
    body = await json_object(request)
    if text and body:
        raise InvalidQuery("query: there is a filter in the body too; send one of them")
    if text:
        return filters.decoded(text)
    # Read once more by the same rules; as an object without anything it is what some clients always send.
    return filters.decoded((await request.body()).decode()) if body else None


def _question(listing: Listing, place: Place) -> Asked:
    """What a cursor says is read by the same rules as what a client says."""
    wire, said = filters.read(place.query) if place.query else (None, {})
    every = list(listing.within(said))
    if wire:
        every.append(filters.condition(wire, listing.columns))
    return Asked(
        Every(tuple(every)) if every else None,
        filters.order([place.sort], listing.columns),
        place.row,
        backwards=place.backwards,
    )


async def _lines(
    listing: Listing, question: Asked, rows: Sequence[Any], places: Sequence[tuple[Any, ...]]
) -> AsyncIterator[bytes]:
    """All rows in batches, each batch beginning behind the last row of the one before."""
    while True:
        if rows:
            yield as_lines(listing.shown(row) for row in rows)
        if len(rows) < BATCH:
            return
        question = msgspec.structs.replace(question, at=places[-1])
        rows, places = await listing.read(question, BATCH)
