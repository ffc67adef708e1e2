"""Pages of lists: ``pageSize`` and an opaque cursor that remembers the place, not the count.

A cursor holds the last row seen and the list it belongs to, filter, order and all, and is signed: a
client needs to send nothing beside it, and can neither make one up nor carry one over to another list.
It costs the same on page 1 and on page 100,000.
"""

import hashlib
import hmac
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from paymux.api.errors import InvalidQuery

PAGE_SIZE = 15
PAGE_SIZE_MAX = 100
_SIGNATURE = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# In bytes. A longer cursor is packed: it goes into a URL, and identifiers in a filter repeat themselves.
_PLAIN_MAX = 500

T = TypeVar("T")

# Query parameters of every list, as text: what is wrong with them is said in our own words.
PageSize = Annotated[str | None, QueryParameter(name="pageSize")]
CursorText = Annotated[str | None, QueryParameter(name="cursor")]


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A place in a list: which list, filtered and ordered how, rows a page, the row it is at, and the way.

    ``query`` and ``sort`` are as the list wrote them; ``at`` is what the order looks at in that row.
    """

    scope: str
    query: str
    sort: str
    size: int
    at: tuple[str, ...] | None = None
    backwards: bool = False

    @property
    def row(self) -> tuple[Any, ...] | None:
        """The row, as the database orders it."""
        return None if self.at is None else tuple(map(_value, self.at))


class Cursors:
    """Makes and reads cursors, signed with a key of this deployment."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def place(
        self, scope: str, page_size: str | None, cursor: str | None, query: str | None = None, sort: str = ""
    ) -> Place:
        """Where to read: from the cursor, or from the beginning.

        What is said beside a cursor is either nothing or what the cursor says as well; a size is ignored.

        Raises:
            InvalidQuery: the size is no number, or the cursor is not one of ours for this list
                with this filter and order.
        """
        if cursor:
            return self._read(scope, query or "", sort, cursor)
        if page_size is None or page_size == "":
            return Place(scope, query or "", sort, PAGE_SIZE)
        if not (page_size.isascii() and page_size.isdigit()):
            raise InvalidQuery(f"pageSize: must be a whole number from 1 to {PAGE_SIZE_MAX}")
        return Place(scope, query or "", sort, min(int(page_size[:9]), PAGE_SIZE_MAX) or PAGE_SIZE)

    def page(self, place: Place, rows: Sequence[T], keys: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
        """The envelope for rows that were read with ``place.size + 1`` as limit, keys beside them."""
        extra = len(rows) > place.size
        if extra:
            # Backwards, the one too many is the first.
            rows, keys = (rows[1:], keys[1:]) if place.backwards else (rows[:-1], keys[:-1])
        has_next = extra or place.backwards
        has_previous = extra if place.backwards else place.at is not None
        body: dict[str, Any] = {"pageSize": place.size, "hasMore": has_next and bool(rows)}
        if has_previous and rows:
            body["previous"] = self._write(place, keys[0], backwards=True)
        if has_next and rows:
            body["next"] = self._write(place, keys[-1], backwards=False)
        return {"cursor": {**body, "data": rows}}

    def _write(self, place: Place, key: tuple[Any, ...], *, backwards: bool) -> str:
        at = tuple(map(_text, key))
        content = msgspec.json.encode(Place(place.scope, place.query, place.sort, place.size, at, backwards))
        if len(content) > _PLAIN_MAX:
            content = zlib.compress(content)
        return urlsafe_b64encode(self._sign(content) + content).decode().rstrip("=")

    def _read(self, scope: str, query: str, sort: str, text: str) -> Place:
        try:
            signed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            content = signed[_SIGNATURE:]
            # Before anything is unpacked: what is signed is ours, and no larger than we made it.
            if hmac.compare_digest(signed[:_SIGNATURE], self._sign(content)):
                plain = content if content.startswith(b"[") else zlib.decompress(content)
                place = msgspec.json.decode(plain, type=Place)
                if place.scope == scope and query in ("", place.query) and sort in ("", place.sort):
                    return place
        except (ValueError, msgspec.MsgspecError, zlib.error):
            pass
        raise InvalidQuery("cursor: not one that this list has given out; start again without it")

    def _sign(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, hashlib.sha256)[:_SIGNATURE]


def _text(value: datetime | UUID | int | str) -> str:
    """A value with its kind before it."""
    match value:
        case datetime():
            return f"t{(value - _EPOCH) // _MICROSECOND}"
        case UUID():
            return f"u{value.hex}"
        case int():
            return f"n{value}"
    return f"s{value}"


def _value(text: str) -> datetime | UUID | int | str:
    kind, value = text[0], text[1:]
    match kind:
        case "t":
            return _EPOCH + int(value) * _MICROSECOND
        case "u":
            return UUID(hex=value)
        case "n":
            return int(value)
    return value
