"""Lists in one order, newest first, by the place of a row: those after it, or before it."""

from collections.abc import Sequence
from functools import cache

from paymux.storage.database import Database, Row


async def either_way(db: Database, statement: str, *args: object, back: bool) -> Sequence[Row]:
    """The rows of a list after a place, or, ``back``, those before it; always in the list's own order."""
    if back:
        return (await db.fetch(backwards(statement), *args))[::-1]
    return await db.fetch(statement, *args)


@cache
def backwards(statement: str) -> str:
    """The same list, newest first, read the other way: the rows before a place, the nearest first.

    For lists in which each ``<`` compares with that place.
    """
    assert "<" in statement, statement  # noqa: S101 - ours, and read by tests
    return statement.replace("<", ">").replace(" DESC", "")
