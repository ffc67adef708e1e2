"""Writes a page. The statements are in functions/pages.sql."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from paymux.storage.database import Connection, Database, Key
from paymux.storage.statements import statements

_SQL = statements("pages")
Columns = Sequence[Sequence[Any]]


async def fresh_payments(
    db: Database | Connection,
    holder: tuple[int, UUID | None, int | None],
    keys: Sequence[Key],
    hashes: Sequence[Key],
) -> list[int]:
    """Positions of the payments whose latest report is not this one; ``holder`` as the first of a PageRow.

    Raises:
        DatabaseError: with code SUPERSEDED when the run no longer holds its task.
    """
    return list(await db.fetchval(_SQL["fresh_payments"], *holder, keys, hashes))


class PageRow(msgspec.Struct, frozen=True):
    """A page in columns; of a kind that is absent, none. ``state`` is JSON, None to leave it."""

    installation: int
    task: UUID | None
    token: int | None
    state: str | None
    accounts: Columns
    balances: Columns
    payments: Columns
    aside: Columns


async def commit_pages(db: Database | Connection, pages: Sequence[PageRow]) -> list[tuple[int, int]]:
    """Commit pages, all or none; returns for each how many records were new and how many changed.

    Raises:
        DatabaseError: with code SUPERSEDED when one of the runs no longer holds its task.
    """
    rows = [
        (
            page.installation, page.task, page.token, page.state,
            _sent(page.accounts), _sent(page.balances), _sent(page.payments), _sent(page.aside),
        )
        for page in pages
    ]  # fmt: skip
    if len(rows) == 1:
        found = await db.fetch(_SQL["commit_page"], *rows[0])
    else:
        found = await db.fetch(_SQL["commit_pages"], *map(list, zip(*rows, strict=True)))
    return [(row["added"], row["changed"]) for row in found]


def _sent(columns: Columns) -> tuple[Sequence[Any] | None, ...] | None:
    """As composites have it: nothing for a column without a value, or for none at all."""
    return tuple(column if any(value is not None for value in column) else None for column in columns) or None
