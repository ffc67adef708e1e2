"""Lists: filtered, in some order, a page at a time by cursor; and rows that are spoiled on request."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from paymux.sandbox.books import Account, Declined, Payment
from paymux.sandbox.menu import Menu, Misbehaviour

LIMIT = 25
LIMIT_MAX = 100

R = TypeVar("R", Account, Payment)

# Where a row stands in its list; of one type within a list.
_Place = tuple[str, str]


class _Cursor(msgspec.Struct):
    """Where a walk goes on; the order it began with is the order it ends with."""

    term: int
    order: str
    salt: int
    since: datetime | None
    last: _Place | None


class Asked(msgspec.Struct, frozen=True):
    """How a list was asked for."""

    since: datetime | None = None
    cursor: str = ""
    limit: int = LIMIT


def page(rows: Iterable[R], asked: Asked, chosen: AbstractSet[Misbehaviour], menu: Menu) -> dict[str, Any]:
    """One page of what changed after ``since`` (not at it), spoiled as chosen.

    Raises:
        Declined: The cursor is none of ours.
    """
    cursor = _read(asked.cursor, menu.term) if asked.cursor else _begin(asked, chosen, menu)
    found = [row for row in rows if cursor.since is None or row.updated_at > cursor.since]
    found.sort(key=lambda row: _place(row, cursor), reverse=cursor.order == Misbehaviour.NEWEST_FIRST)
    if cursor.last is not None:
        back = cursor.order == Misbehaviour.NEWEST_FIRST
        last = cursor.last
        found = [row for row in found if (_place(row, cursor) < last if back else _place(row, cursor) > last)]
    limit = max(1, min(asked.limit, LIMIT_MAX))
    shown, more = found[:limit], len(found) > limit
    following = _write(cursor, _place(shown[-1], cursor)) if more else None
    data = spoiled([msgspec.to_builtins(row) for row in shown], chosen, menu)
    return {"data": data, "next_cursor": following}


def spoiled(
    rows: list[dict[str, Any]], chosen: AbstractSet[Misbehaviour], menu: Menu
) -> list[dict[str, Any]]:
    """The rows, with what was chosen done to one of them."""
    if not rows:
        return rows
    if Misbehaviour.DUPLICATES in chosen:
        rows = [row for row in rows for _ in (0, 1)]
    at = menu.pick(len(rows))
    row = dict(rows[at])
    if Misbehaviour.UNKNOWN_STATUS in chosen:
        row["status"] = "levitating"
    if Misbehaviour.UNKNOWN_CURRENCY in chosen:
        row["currency"] = "ZZZ"
    if Misbehaviour.MALFORMED in chosen:
        row["amount"] = None
    return [*rows[:at], row, *rows[at + 1 :]]


def _begin(asked: Asked, chosen: AbstractSet[Misbehaviour], menu: Menu) -> _Cursor:
    order = next(
        (one for one in (Misbehaviour.NEWEST_FIRST, Misbehaviour.UNSTABLE_ORDER) if one in chosen), ""
    )
    return _Cursor(term=menu.term, order=order, salt=menu.pick(2**31), since=asked.since, last=None)


def _place(row: Account | Payment, cursor: _Cursor) -> _Place:
    if cursor.order == Misbehaviour.UNSTABLE_ORDER:
        return blake2b(f"{cursor.salt} {row.id}".encode(), digest_size=8).hexdigest(), row.id
    return row.updated_at.isoformat(), row.id


def _read(text: str, term: int) -> _Cursor:
    try:
        cursor = msgspec.json.decode(urlsafe_b64decode(text), type=_Cursor)
    except ValueError:
        cursor = None
    if cursor is None or cursor.term != term:
        raise Declined("cursor_expired", "begin again without a cursor", 410)
    return cursor


def _write(cursor: _Cursor, last: _Place) -> str:
    return urlsafe_b64encode(msgspec.json.encode(msgspec.structs.replace(cursor, last=last))).decode()
