"""Writes a page. The statements are in functions/pages.sql."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any
from uuid import UUID

import msgspec

from paymux.storage.database import Connection, Database, Key
from paymux.storage.statements import statements

_SQL = statements("pages")
Columns = Sequence[Sequence[Any]]
# Places in ``payment_page``.
_KEY, _ACCOUNT, _PAGES = 0, 19, 21


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
    if len(pages) > 1 and _mergeable(pages):
        return await _commit_payments(db, pages)
    rows = [
        (
            page.installation, page.task, page.token, page.state,
            *map(_sent, (page.accounts, page.balances, page.payments, page.aside)),
        )
        for page in pages
    ]  # fmt: skip
    if len(rows) == 1:
        found = await db.fetch(_SQL["commit_page"], *rows[0])
    else:
        found = await db.fetch(_SQL["commit_pages"], *map(list, zip(*rows, strict=True)))
    return [(row["added"], row["changed"]) for row in found]


def _mergeable(pages: Sequence[PageRow]) -> bool:
    """Whether they are of runs, hold payments and nothing else, and no payment is in two of them."""
    for page in pages:
        if page.task is None or page.state is not None or page.accounts or page.balances or page.aside:
            return False
    keys = [set(page.payments[_KEY]) for page in pages if page.payments]
    return len(keys) == len(pages) and len(set().union(*keys)) == sum(map(len, keys))


async def _commit_payments(db: Database | Connection, pages: Sequence[PageRow]) -> list[tuple[int, int]]:
    columns = [tuple(chain(*parts)) for parts in zip(*(page.payments for page in pages), strict=True)]
    # Numbers of the pages, once a payment and once an account.
    columns[_PAGES:] = [
        tuple(number for number, page in enumerate(pages, 1) for _ in page.payments[place])
        for place in (_KEY, _ACCOUNT)
    ]
    found = await db.fetchrow(
        _SQL["commit_payments"],
        [page.installation for page in pages],
        [page.task for page in pages],
        [page.token for page in pages],
        _sent(columns),
    )
    assert found is not None  # noqa: S101 - there is exactly one
    page_of = dict(zip(columns[_KEY], columns[_PAGES], strict=True))
    added, filed = (Counter(page_of[key] for key in keys or ()) for keys in found)
    return [(added[number], filed[number] - added[number]) for number in range(1, len(pages) + 1)]


def _sent(columns: Columns) -> tuple[Sequence[Any] | None, ...] | None:
    """As composites have it: nothing for a column without a value, or for none at all."""
    return tuple(column if any(value is not None for value in column) else None for column in columns) or None
