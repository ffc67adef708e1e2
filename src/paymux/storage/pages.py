"""Writes a page. The statements are in functions/pages.sql."""

from typing import Any
from uuid import UUID

from paymux.storage.database import Connection, Database
from paymux.storage.statements import statements

_SQL = statements("pages")
Columns = tuple[Any, ...] | None


async def fresh_payments(db: Database | Connection, keys: list[UUID], hashes: list[UUID]) -> list[int]:
    """Positions of the payments whose latest report is not this one."""
    return list(await db.fetchval(_SQL["fresh_payments"], keys, hashes))


async def commit_page(
    db: Database | Connection,
    *,
    installation: int,
    task: UUID | None,
    token: int | None,
    state: str | None,
    accounts: Columns,
    balances: Columns,
    payments: Columns,
    aside: Columns,
) -> tuple[int, int]:
    """Commit a page; returns how many records were new and how many changed.

    Raises:
        DatabaseError: with code SUPERSEDED when the run no longer holds its task.
    """
    row = await db.fetchrow(
        _SQL["commit_page"], installation, task, token, state, accounts, balances, payments, aside
    )
    assert row is not None  # noqa: S101 - the function always returns one row
    return row["added"], row["changed"]
