"""Commits pages: everything of a page or nothing of it, and never a page of a run that lost its task."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec

from paymux.ingestion.page import Page, columns, count, hashes
from paymux.ingestion.rows import Columns, whole
from paymux.observe.instruments import Instruments
from paymux.storage import pages
from paymux.storage.database import COLLISION, SUPERSEDED, Connection, Database, DatabaseError, code_of
from paymux.storage.together import Together

# From here on asking first is cheaper than sending the rows; below, a second round trip costs more.
ASK_FIRST_FROM = 50
# Two pages can collide when they also schedule tasks or share new accounts. A handful is plenty.
ATTEMPTS = 5


class Superseded(Exception):
    """Another run took over this task, or it was cancelled; nothing of the page was written."""


class Counts(msgspec.Struct):
    """What a run's pages held: records seen, new, changed, unchanged, set aside."""

    seen: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    aside: int = 0

    def as_list(self) -> list[int]:
        """In the order of the run table."""
        return [self.seen, self.added, self.changed, self.unchanged, self.aside]


class Holder(msgspec.Struct, frozen=True):
    """On whose behalf pages are committed: an installation, and the run that holds one of its tasks."""

    installation: int
    uuid: UUID
    task: UUID | None = None
    token: int | None = None
    provider: str = ""


class Ingester:
    """Commits pages to one database; ``told`` is called when events may be waiting."""

    def __init__(
        self, database: Database, told: Callable[[], None], instruments: Instruments | None = None
    ) -> None:
        self._database = database
        self._instruments = instruments or Instruments()
        self._told = told
        # Small pages of several runs share a round trip and a wait for the disk.
        self._together: Together[pages.PageRow, tuple[int, int]] = Together(
            lambda rows: pages.commit_pages(database, rows)
        )

    async def commit(
        self,
        holder: Holder,
        page: Page,
        counts: Counts,
        *,
        state: str | None = None,
        also: Callable[[Connection], Awaitable[Any]] | None = None,
    ) -> None:
        """Commit one page and add to ``counts``. ``also`` runs first in the same transaction.

        Raises:
            Superseded: the run no longer holds its task.
        """
        fresh = page.payments
        # Even of nothing: a run that lost its task must find out.
        writes = True
        # A run whose pages have been mostly new is reading history: there is nothing to ask.
        if count(fresh) >= ASK_FIRST_FROM and counts.added * 2 <= counts.seen:
            fresh = await self._differing(holder, fresh)
            writes = bool(fresh or state is not None or also is not None or not page.payments_only)
        added = changed = 0
        with self._instruments.page() as seen:
            if writes:
                added, changed = await self._write(holder, page, whole(holder.uuid, fresh), state, also)
            unchanged = max(0, page.seen - len(page.aside) - added - changed)
            seen.held(holder.provider, page.kinds, (added, changed, unchanged, len(page.aside)))
        counts.seen += page.seen
        counts.added += added
        counts.changed += changed
        counts.aside += len(page.aside)
        counts.unchanged += unchanged
        if added or changed:
            self._told()

    async def _differing(self, holder: Holder, payments: Columns) -> Columns:
        """Of payments, those that the database does not have like that. Raises Superseded."""
        asked = holder.installation, holder.task, holder.token
        try:
            positions = await pages.fresh_payments(self._database, asked, *hashes(payments))
        except DatabaseError as error:
            if code_of(error) == SUPERSEDED:
                raise Superseded(Superseded.__doc__) from None
            raise
        if not positions:
            return ()
        return tuple(tuple([column[position - 1] for position in positions]) for column in payments)

    async def _write(
        self,
        holder: Holder,
        page: Page,
        payments: Columns,
        state: str | None,
        also: Callable[[Connection], Awaitable[Any]] | None,
    ) -> tuple[int, int]:
        row = pages.PageRow(
            holder.installation,
            holder.task,
            holder.token,
            state,
            columns(page.accounts),
            columns(page.balances),
            payments,
            columns(page.aside),
        )
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if also is None and page.seen < ASK_FIRST_FROM:
                    return await self._together(row)
                if also is None:
                    ((added, changed),) = await pages.commit_pages(self._database, [row])
                    return added, changed
                async with self._database.transaction() as db:
                    await also(db)
                    ((added, changed),) = await pages.commit_pages(db, [row])
                    return added, changed
            except COLLISION:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(random.uniform(0, 0.05 * attempt))  # noqa: S311 - spreads, hides nothing
            except DatabaseError as error:
                if code_of(error) == SUPERSEDED:
                    raise Superseded(Superseded.__doc__) from None
                raise
        raise AssertionError("unreachable")  # pragma: no cover
