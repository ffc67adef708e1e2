"""Replay records that were set aside: the connector makes of their raw form what it can make of it now."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog

from paymux.domain.aside import SetAside
from paymux.ingestion.ingester import Counts, Holder, Ingester
from paymux.ingestion.page import Page
from paymux.ingestion.rows import TEXT_MAX, storable
from paymux.runtime.contexts import InstallationContext
from paymux.runtime.installations import Installation
from paymux.runtime.scheduling import Planner
from paymux.sdk import Account, Balance, Connector, Payment, SkipRecord
from paymux.services.calling import calling
from paymux.services.installing import BeingReset, able
from paymux.services.means import Means
from paymux.services.tending import limited
from paymux.storage import installations, set_aside
from paymux.storage.database import Connection, Row

# Records that are committed together.
BATCH = 100


class CannotReplay(RuntimeError):
    """This connector cannot replay records. Run the task that has set them aside again."""


class NoSuchRecord(LookupError):
    """There is no such set-aside record."""


class StillRefused(ValueError):
    """The record still makes no sense."""


class Replaying:
    """Replays set-aside records, one by one or all of an installation."""

    def __init__(self, means: Means, ingester: Ingester) -> None:
        self._database = means.database
        self._at_work = means.at_work
        self._engine = means.engine
        self._ingester = ingester
        self._behind: dict[int, asyncio.Task[None]] = {}

    async def one(self, row: Row, record: UUID) -> Row:
        """Replay one record of an installation; returns it, marked.

        Raises:
            NoSuchRecord, CannotReplay, BeingReset, UnknownConnector: it was not tried.
            StillRefused, ConnectorFailed: nothing came in; the record is as it was, its reason that of now.
        """
        installation = self._able(row)
        found = await set_aside.get(self._database, row["id"], record)
        if found is None:
            raise NoSuchRecord(NoSuchRecord.__doc__)
        page = await self._made(installation, found)
        if isinstance(page, str):
            raise StillRefused(f"{StillRefused.__doc__} {page}")
        await self._commit(installation, page, [record])
        after = await set_aside.get(self._database, row["id"], record)
        if after is None:
            raise NoSuchRecord(NoSuchRecord.__doc__)
        return after

    async def all(self, row: Row) -> int:
        """Replay, in the background, all that were not replayed yet; returns how many there are.

        What a crash or an error of the connector cuts short is still marked as not replayed.

        Raises:
            CannotReplay, BeingReset, UnknownConnector: nothing is done.
        """
        installation = self._able(row)
        count = await set_aside.count_unreplayed(self._database, row["id"])
        if row["id"] not in self._behind:
            behind = asyncio.create_task(self._all(installation))
            self._behind[row["id"]] = behind
            behind.add_done_callback(lambda _: self._behind.pop(row["id"], None))
        return count

    async def close(self) -> None:
        """Stop replaying."""
        going = list(self._behind.values())
        for behind in going:
            behind.cancel()
        if going:
            await asyncio.wait(going, timeout=1)

    def _able(self, row: Row) -> Installation:
        installation = able(self._at_work, row, Connector.replay)
        if installation is None:
            raise CannotReplay(CannotReplay.__doc__)
        return installation

    async def _all(self, installation: Installation) -> None:
        log = structlog.get_logger().bind(component="connector-manager", connectorID=installation.id.encode())
        after: tuple[datetime, UUID] | None = None
        replayed = refused = 0
        try:
            while batch := await set_aside.unreplayed(self._database, installation.key, after, BATCH):
                after = batch[-1]["created_at"], batch[-1]["id"]
                done = await self._batch(installation, batch)
                replayed, refused = replayed + done, refused + len(batch) - done
        except Exception as error:  # noqa: BLE001 - nobody waits for it; those left can be replayed again
            log.error(  # noqa: TRY400 - the connector's trouble, which has been logged
                "Replaying was cut short", error=self._at_work.mask(str(error))
            )
        log.info("Records replayed", replayed=replayed, refused=refused)

    async def _batch(self, installation: Installation, batch: Sequence[Row]) -> int:
        made: list[Any] = []
        good: list[UUID] = []
        for found in batch:
            records = await self._records(installation, found)
            if not isinstance(records, str):
                made += records
                good.append(found["id"])
        if good:
            await self._commit(installation, _page(installation, made), good)
        return len(good)

    async def _made(self, installation: Installation, found: Row) -> Page | str:
        records = await self._records(installation, found)
        return records if isinstance(records, str) else _page(installation, records)

    async def _records(self, installation: Installation, found: Row) -> list[Any] | str:
        """What the connector makes of a record, or why it cannot."""
        task = msgspec.json.decode(found["descriptor"]) if found["descriptor"] else None
        aside = SetAside(reason=found["reason"], kind=found["kind"], raw=found["raw"])
        log = structlog.get_logger().bind(component="connector-manager", connectorID=installation.id.encode())
        planner = Planner(self._database, self._engine, Holder(installation.key, installation.id.reference))
        context = InstallationContext(installation, planner, log)
        reason: str
        with calling(self._at_work.mask, "replay"):
            try:
                records: list[Any] = list(await limited(installation.connector.replay(context, aside, task)))
            except SkipRecord as error:
                reason = str(error)
            else:
                wrong = [record for record in records if not isinstance(record, Account | Balance | Payment)]
                if wrong:
                    raise TypeError(f"it made a {type(wrong[0]).__name__}, which is no record")
                refused = _page(installation, records).aside
                if not refused:
                    return records
                reason = refused[0][2]
        reason = self._at_work.mask(storable(reason))[:TEXT_MAX]
        await set_aside.refused(self._database, installation.key, found["id"], reason)
        return reason

    async def _commit(self, installation: Installation, page: Page, records: Sequence[UUID]) -> None:
        async def mark(db: Connection) -> None:
            if not await installations.keep_open(db, installation.key):
                raise BeingReset(BeingReset.__doc__)
            await set_aside.replayed(db, installation.key, records)

        holder = Holder(installation.key, installation.id.reference)
        await self._ingester.commit(holder, page, Counts(), also=mark)


def _page(installation: Installation, records: Sequence[Any]) -> Page:
    return Page(
        installation.id.reference,
        accounts=[record for record in records if isinstance(record, Account)],
        balances=[record for record in records if isinstance(record, Balance)],
        payments=[record for record in records if isinstance(record, Payment)],
    )
