"""Carries on what takes longer than a request: emptying, setting up again and removing installations.

Whoever is at one holds it by a lease in its row. When that runs out, because its process has died, any
other process goes on where it was left: half an install is undone, half a reset or uninstall completed.
Each step leaves a state from which all steps that follow can be taken, however often.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import structlog

from paymux.domain.errors import shown
from paymux.domain.ids import ConnectorID
from paymux.events.types import EventType
from paymux.ingestion.ingester import Holder
from paymux.runtime.contexts import InstallationContext
from paymux.runtime.patience import is_lost
from paymux.runtime.registry import UnknownConnector
from paymux.runtime.scheduling import Planner
from paymux.services.calling import calling
from paymux.services.means import Means
from paymux.storage import events, installations, transfers
from paymux.storage.database import Connection
from paymux.storage.installations import BATCH, Tender

# Between looks at whether the events of an installation have been told, before it is emptied.
LOOK = 0.5
# Between looks for what another process has left unfinished; in leases.
_LOOKS_A_LEASE = 2
_WORDS_A_LEASE = 3
# A connector's install talks to a provider; one that takes longer will never end.
INSTALL_MAX = timedelta(minutes=15)
# After an install that failed amid a reset; doubled every time.
_WAIT_MIN, _WAIT_MAX = 1.0, 60.0
# Code that was told to stop has this long to do so.
_UNWIND = 3.0

# Orders that an error names.
_NAMED = 10

T = TypeVar("T")


class TakenOver(RuntimeError):
    """Somebody else has removed this installation, or has taken this process for dead. Try again."""


class OrdersOpen(RuntimeError):
    """The provider may have orders whose end has not been seen."""

    def __init__(self, references: list[str]) -> None:
        named = ", ".join(shown(one) for one in references[:_NAMED])
        more = f" and {len(references) - _NAMED} more" if len(references) > _NAMED else ""
        super().__init__(
            f"{self.__doc__} Wait until they have come to their end, or say yourself what became of those"
            f" that are unknown (paymux transfers unknown): {named}{more}."
        )


class Tending:
    """Looks after installations that are neither quite in nor quite out."""

    def __init__(
        self,
        means: Means,
        *,
        lease: timedelta,
        batch: int = BATCH,
    ) -> None:
        self._database = means.database
        self._registry = means.registry
        self._at_work = means.at_work
        self._engine = means.engine
        self._told = means.told
        self._batch = batch
        self.tender = Tender(uuid4(), lease)
        self._lease = lease.total_seconds()
        self._behind: dict[int, asyncio.Task[None]] = {}
        self._closing = asyncio.Event()

    async def run(self) -> None:
        """Take over what dead processes leave behind, until closed."""
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._lease / _LOOKS_A_LEASE)
                return
            try:
                await self.tidy()
            except Exception as error:  # noqa: BLE001 - whoever stopped looking would be missed by nobody
                if not is_lost(error):
                    structlog.get_logger().error("Looking for unfinished work failed", exc_info=error)

    async def tidy(self, *, alone: bool = False) -> None:
        """Go on with what nobody alive is at; when we are ``alone`` on the database, that is everything."""
        for row in await installations.unfinished(self._database, alone=alone):
            key = row["id"]
            if key in self._behind or (row["status"] == "RESETTING" and not self._knows(row["provider"])):
                continue
            status = await installations.claim(self._database, key, self.tender, force=alone)
            if status == "INSTALLING":
                await self.leave(key, row["uuid"], row["provider"], told=False)
            if status is not None:
                self.go_on(key)

    async def leave(self, key: int, uuid: UUID, provider: str, *, told: bool = True) -> bool:
        """Close it to the outside: from here on no run can commit anything for it. False: it is closed."""
        async with self._database.transaction() as db:
            unsettled = await transfers.at_the_provider(db, key)
            if unsettled:
                raise OrdersOpen(unsettled)
            left = await installations.leave(db, key, self.tender)
            if left and told:
                await tell(db, EventType.CONNECTOR_UNINSTALLED, key, ConnectorID(provider, uuid))
        return left

    def go_on(self, key: int) -> None:
        """Do what is left to do for it, in the background; what was being done for it is stopped."""
        before = self._behind.get(key)
        if before is not None:
            before.cancel()
        behind = asyncio.create_task(self._go_on(key, before), name=f"installation {key}")
        self._behind[key] = behind
        behind.add_done_callback(lambda _: self._over(key, behind))

    async def held(self, key: int, work: Coroutine[Any, Any, T]) -> T:
        """Do it while saying that we are alive.

        Raises:
            TakenOver: somebody else is at it now; the work was cancelled.
        """
        doing = asyncio.create_task(work)
        keeping = asyncio.create_task(self._keep(key))
        try:
            await asyncio.wait({doing, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise TakenOver(TakenOver.__doc__)
            return doing.result()
        finally:
            for one in (doing, keeping):
                one.cancel()
            await asyncio.wait({doing, keeping}, timeout=_UNWIND)

    async def close(self) -> None:
        """Stop; the rest is done by others, or after the next start."""
        self._closing.set()
        going = dict(self._behind)
        for behind in going.values():
            behind.cancel()
        if going:
            await asyncio.wait(going.values(), timeout=_UNWIND)
        for key in going:
            with contextlib.suppress(Exception):
                await installations.release(self._database, key, self.tender)

    def _knows(self, provider: str) -> bool:
        with contextlib.suppress(UnknownConnector):
            return bool(self._registry.get(provider))
        return False

    def _over(self, key: int, behind: "asyncio.Task[None]") -> None:
        if self._behind.get(key) is behind:
            del self._behind[key]

    async def _keep(self, key: int) -> None:
        """Return when it is not ours any more."""
        while True:
            await asyncio.sleep(self._lease / _WORDS_A_LEASE)
            try:
                if not await installations.keep(self._database, key, self.tender):
                    return
            except Exception as error:  # noqa: BLE001 - without the database nobody else can take it either
                structlog.get_logger().debug("Holding an installation goes on", error=str(error))

    async def _go_on(self, key: int, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait({before}, timeout=_UNWIND)
        wait = _WAIT_MIN
        while True:
            try:
                status = await installations.claim(self._database, key, self.tender)
                if status is None or status == "INSTALLING":
                    return
                await self.held(key, self._remove(key) if status == "UNINSTALLING" else self._again(key))
            except TakenOver:
                continue
            except Exception as error:  # noqa: BLE001 - it is neither in nor out until this has succeeded
                if is_lost(error):
                    await asyncio.sleep(LOOK)
                    continue
                await self._say(key, error)
                await asyncio.sleep(wait)
                wait = min(wait * 2, _WAIT_MAX)
            else:
                return

    async def _say(self, key: int, error: Exception) -> None:
        text = self._at_work.mask(str(error))
        structlog.get_logger().error("An installation could not be finished, will try again", error=text)
        with contextlib.suppress(Exception):
            await installations.failed(self._database, key, self.tender, text)

    async def _remove(self, key: int) -> None:
        await self._empty(key)
        while await transfers.empty(self._database, key, self._batch):
            pass
        await installations.delete(self._database, key)
        self._at_work.forget(key)

    async def _empty(self, key: int) -> None:
        """Delete what it brought in, once the sinks know of it."""
        while await installations.untold(self._database, key):
            self._told()
            await asyncio.sleep(LOOK)
        while True:
            began = time.monotonic()
            if not await installations.empty(self._database, key, self._batch):
                return
            # As long as it took: at least half of the disk is left to others.
            await asyncio.sleep(time.monotonic() - began)

    async def _again(self, key: int) -> None:
        """Empty it and set it up again. What an attempt before this one has begun goes, too."""
        await installations.stop(self._database, key)
        await self._empty(key)
        if not await installations.emptied(self._database, key, self.tender):
            raise TakenOver(TakenOver.__doc__)
        row = await installations.load(self._database, key)
        if row is None:
            return
        installation = self._at_work.read(row)
        log = structlog.get_logger().bind(
            component="connector-manager", connectorID=installation.id.encode(), name=row["name"]
        )
        planner = Planner(self._database, self._engine, Holder(key, row["uuid"]))
        context = InstallationContext(installation, planner, log)
        with calling(self._at_work.mask, "install"):
            await limited(installation.connector.install(context))
        most = type(installation.connector).max_tasks
        async with self._database.transaction() as db:
            await planner.write(db, plans=planner.waiting)
            if not await installations.reopened(db, key, self.tender, most):
                raise TakenOver(TakenOver.__doc__)
        log.info("Connector reset")
        self._told()


async def limited(work: Awaitable[T]) -> T:
    """Wait for a connector's install, within reason."""
    try:
        async with asyncio.timeout(INSTALL_MAX.total_seconds()):
            return await work
    except TimeoutError:
        raise TimeoutError(
            f"It took longer than {INSTALL_MAX}, or ran into a time limit of its own."
        ) from None


async def tell(
    db: Connection, kind: EventType, key: int, connector: ConnectorID, part: UUID | None = None
) -> None:
    """Write an event about an installation with its change; ``part`` tells repetitions apart."""
    await events.insert(
        db, installation=key, type=kind, object=connector.reference, part=part or connector.reference,
        facts={"connectorId": connector.encode(), "provider": connector.provider},
    )  # fmt: skip
