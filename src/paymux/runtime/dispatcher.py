"""Sends orders to providers, follows them to their end, and looks up those whose outcome is unknown.

An order is begun in a transaction that is on disk before the provider is called. Whoever finds one begun
and not ended looks it up before anything else. A worker's word counts only while it holds the order.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import structlog

from paymux.domain.ids import row_key
from paymux.domain.mask import Mask
from paymux.domain.money import Amount, Asset
from paymux.domain.payment import Payment
from paymux.domain.transfer import Fate, TransferStatus, TransferType, fate
from paymux.ingestion.ingester import Counts, Holder, Ingester, Superseded
from paymux.ingestion.page import Page
from paymux.runtime import verdicts
from paymux.runtime.contexts import InstallationContext
from paymux.runtime.engine import Engine
from paymux.runtime.execution import contained
from paymux.runtime.installations import Installation, Installations
from paymux.runtime.keeping import again_and_again
from paymux.runtime.patience import is_lost, patiently
from paymux.runtime.scheduling import Planner
from paymux.runtime.verdicts import LOOK_UPS, Known, Verdict
from paymux.sdk import NotThere, Order, Reversal, TryAgain
from paymux.storage import transfers
from paymux.storage.database import Connection, Database, DatabaseError, Row
from paymux.storage.transfers import Attempt, Found, Paid

# Orders that one worker is at, at a time: most wait for their provider, and those of one that hangs must not
# hold up the others'.
AT_ONCE = 200
# A provider that has not answered by then: whether it has taken the order is to be looked up.
CALL_MAX = timedelta(minutes=1)
# How often orders are looked for that should be in somebody's hands, and how long they may be due before.
SWEEP = 1.0
NEGLECTED = timedelta(seconds=1)

_STATUSES = {
    Fate.MOVED: TransferStatus.PROCESSED,
    Fate.NOT_MOVED: TransferStatus.FAILED,
    Fate.PENDING: TransferStatus.PROCESSING,
}


class StoodStill(TryAgain):
    """The worker stood still before it could call the provider; others may be at the order."""


class Times(msgspec.Struct, frozen=True):
    """When an unknown outcome is looked up, and for how many seconds a silent worker keeps its orders."""

    look_ups: tuple[timedelta, ...] = LOOK_UPS
    lease: float = 5.0


class Dispatcher:
    """Moves money for all installations, any number of dispatchers on one database."""

    def __init__(
        self,
        *,
        database: Database,
        engine: Engine,
        tasks: Engine,
        installations: Installations,
        ingester: Ingester,
        mask: Mask,
        told: Callable[[], None],
        times: Times,
    ) -> None:
        """``engine`` is the lane of money, ``tasks`` where what a connector schedules goes."""
        # One that waits for the disk: what is begun must be known after any crash.
        self._database = database
        self._engine = engine
        self._tasks = tasks
        self._told = told
        self._installations = installations
        self._ingester = ingester
        self._mask = mask
        self._times = times
        self._handling: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def run(self) -> None:
        """Work until ``stop``."""
        sweeping = asyncio.create_task(again_and_again(SWEEP, self.recover, "Looking for orders failed"))
        try:
            await self._engine.run(self._handle)
        finally:
            sweeping.cancel()

    async def stop(self, grace: timedelta) -> None:
        """Begin nothing more; let calls that are out come back for a while. Others look up the rest."""
        self._stopping = True
        self._engine.stop()
        handling = set(self._handling)
        if handling:
            await asyncio.wait(handling, timeout=grace.total_seconds())

    async def recover(self) -> int:
        """Put orders that nobody is at into somebody's hands; returns how many."""
        suspects = await transfers.neglected(self._database, NEGLECTED)
        if not suspects:
            return 0
        orphans = await self._engine.missing([(row["id"], row["generation"], row["job"]) for row in suspects])
        for key, generation in orphans:
            async with self._database.transaction() as db:
                await self._engine.enqueue(db, await transfers.recover(db, key, generation))
        return len(orphans)

    async def _handle(self, job: int, key: UUID, generation: int) -> None:
        own = asyncio.current_task()
        assert own is not None  # noqa: S101 - this is a coroutine
        self._handling.add(own)
        try:
            found = await self._insist(partial(self._begin, job, key, generation))
            if found is not None:
                await self._one(key, *found)
        finally:
            self._handling.discard(own)

    async def _begin(self, job: int, key: UUID, generation: int) -> tuple[Attempt, Row, float] | None:
        """Begin what is due; nothing when there is none. The last is since when nobody else may be at it."""
        async with self._database.connection() as db:
            # From before: a worker that is frozen while it waits for the answer has stood still as well.
            since = time.monotonic()
            begun = await transfers.begin(db, job, key, generation)
            if begun is None:
                return None
            row = await transfers.attempt(db, key, begun.attempt)
            assert row is not None  # noqa: S101 - it was begun a moment ago
            return begun, row, since

    async def _one(self, key: UUID, begun: Attempt, row: Row, since: float) -> None:
        known = Known(
            row["state"], row["sends"], row["looks"], row["accepted"], row["unknown_for"],
            doubted=row["doubted"], refused=row["refused"], changed=row["changed"],
        )  # fmt: skip
        log = structlog.get_logger().bind(
            component="dispatcher", provider=row["provider"], reference=row["reference"]
        )
        holder = Holder(begun.installation, row["installation"], provider=row["provider"])
        planner = Planner(self._database, self._tasks, holder)
        try:
            installation: Installation = await self._insist(
                lambda: self._installations.at(begun.installation, begun.revision)
            )
        except Exception as error:  # noqa: BLE001 - whatever keeps a connector from being made, nothing was sent
            not_asked = verdicts.not_sent if begun.what == "SEND" else self._in_vain
            verdict = not_asked(error, known)
        else:
            context = InstallationContext(
                installation, planner, log.bind(connectorID=installation.id.encode())
            )
            if begun.what == "LOOK":
                verdict = await self._look(installation, context, row, known)
            elif time.monotonic() - since > self._times.lease / 2:
                # Frozen between the note that it begins and now: somebody may be looking it up already.
                verdict = verdicts.stood_still(StoodStill())
            else:
                verdict = await self._send(installation, context, row, known)
        refused = verdict.refused and self._mask(verdict.refused)
        verdict = msgspec.structs.replace(verdict, error=self._mask(verdict.error), refused=refused)
        await self._record(Held(key, begun.attempt, begun.token, holder, planner), verdict, log)

    async def _send(
        self, installation: Installation, context: InstallationContext, row: Row, known: Known
    ) -> Verdict:
        """Call the provider. Whether it has the order is decided by where that fails."""
        connector, order = installation.connector, order_of(row)
        if isinstance(order, Order) and row["former_key"] is not None:
            # It is thought to have failed, by a provider or a person; both may have been wrong.
            former = msgspec.structs.replace(
                order, attempt=row["former_number"], idempotency_key=row["former_key"]
            )
            try:
                answer = await _within(connector.look_up(context, former))
            except Exception as error:  # noqa: BLE001 - as below
                return verdicts.not_sent(error, known)
            paid = verdicts.of_former(answer, known)
            if paid is not None:
                return paid
        try:
            if isinstance(order, Order):
                answer = await _within(connector.initiate_payment(context, order))
            else:
                answer = await _within(connector.reverse_payment(context, order))
        except Exception as error:  # noqa: BLE001 - connector code may raise anything
            return verdicts.failed(error, known, self._times.look_ups)
        return verdicts.answered(answer, known, self._times.look_ups)

    async def _look(
        self, installation: Installation, context: InstallationContext, row: Row, known: Known
    ) -> Verdict:
        connector = installation.connector
        try:
            answer = await _within(connector.look_up(context, order_of(row)))
        except Exception as error:  # noqa: BLE001 - as above
            return self._in_vain(error, known)
        if isinstance(answer, NotThere):
            return verdicts.not_there(known, type(connector).look_up_lag, self._times.look_ups)
        return verdicts.answered(answer, known, self._times.look_ups)

    def _in_vain(self, error: BaseException, known: Known) -> Verdict:
        return verdicts.looked_in_vain(error, known, self._times.look_ups)

    async def _record(self, held: "Held", verdict: Verdict, log: Any) -> None:
        """Write down what became of it, with the provider's payment and what the code has scheduled."""
        page = Page(held.holder.uuid, payments=[verdict.payment] if verdict.payment else [])
        if page.aside:
            log.error("The provider's payment makes no sense and is set aside", reason=page.aside[0][2])
        paid = paid_of(held.holder.uuid, verdict.payment) if page.payments and verdict.payment else None
        found = Found(
            state=verdict.state, error=verdict.error, delay=verdict.delay, handle=verdict.handle,
            stuck=verdict.stuck, refused=verdict.refused, paid=paid,
        )  # fmt: skip

        async def finish(db: Connection, *, plans: bool = True) -> None:
            await self._engine.enqueue(db, await transfers.finish(db, held.key, held.token, found))
            if plans and held.planner.waiting:
                await held.planner.write(db, plans=held.planner.waiting)

        async def commit() -> None:
            try:
                await self._ingester.commit(held.holder, page, Counts(), also=finish)
            except DatabaseError as error:
                if is_lost(error):
                    raise
                # Whatever is wrong with what comes with it: what became of the money must be known.
                log.exception("What came with an order could not be stored")
                async with self._database.transaction() as db:
                    await finish(db, plans=False)

        try:
            await self._insist(commit)
        except Superseded:
            # Not dropped in silence: somebody may have decided meanwhile who did not know it.
            log.exception("An answer came after somebody else had taken over", state=verdict.state)
            if paid is not None:
                late = partial(transfers.link_late, key=held.key, number=held.attempt, paid=paid)
                await self._insist(lambda: self._ingester.commit(held.holder, page, Counts(), also=late))
            return
        self._told()
        log.info("Order dispatched", state=verdict.state, error=verdict.error)

    async def _insist(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do it when the database is there to have it done, unless we are leaving."""
        return await patiently(work, lambda: self._stopping)


class Held(msgspec.Struct, frozen=True):
    """An order that this worker holds, and on whose behalf."""

    key: UUID
    attempt: int
    token: int
    holder: Holder
    planner: Planner


async def _within(call: Awaitable[Any]) -> Any:
    """Wait for a provider's answer for a while; code that goes on after that is left behind."""

    async def contain() -> Any:
        with contained():
            return await call

    calling = asyncio.create_task(contain())
    # Looked at in any case, or what is left behind is reported as never looked at.
    calling.add_done_callback(lambda task: task.cancelled() or task.exception())
    try:
        done, _ = await asyncio.wait({calling}, timeout=CALL_MAX.total_seconds())
    except asyncio.CancelledError:
        calling.cancel()
        raise
    if not done:
        calling.cancel()
        raise TimeoutError(f"The connector did not answer within {CALL_MAX}.")
    return calling.result()


def order_of(row: Row) -> Order | Reversal:
    """What the connector is told."""
    asset = Asset.parse(row["asset"])
    order = Order(
        reference=row["reference"], attempt=row["order_number"], idempotency_key=row["order_key"],
        type=TransferType(row["type"]), amount=Amount(row["amount"], asset), source=row["source_reference"],
        destination=row["destination_reference"], description=row["description"],
        metadata=transfers.metadata_of(row["metadata"]), created_at=row["created_at"],
    )  # fmt: skip
    if row["reversal"] is None:
        return order
    return Reversal(
        reference=row["reversal"], attempt=row["number"], idempotency_key=row["key"],
        amount=Amount(row["reversal_amount"], asset), payment=row["payment"], order=order,
        description=row["reversal_description"], metadata=transfers.metadata_of(row["reversal_metadata"]),
    )  # fmt: skip


def paid_of(installation: UUID, payment: Payment) -> Paid:
    """A payment as it is linked to its order."""
    key = row_key(installation, "payment", payment.reference)
    return Paid(key, payment.reference, payment.type, _STATUSES[fate(payment.status)])
