"""Money: how soon an approved payout is at the provider's door, alone and while polling takes all there is.

The provider is a method that notes the time. The workers of both lanes are one process, which is the worst
that can be for the money; whoever orders and approves has a loop apart, as another process would.
"""

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from benchmarks import ground, provider
from benchmarks.figures import Figure, say
from benchmarks.tasks import p50, p99
from paymux.bootstrap import Service, service
from paymux.domain.ids import AccountParts, ConnectorID, TransferParts
from paymux.domain.mask import Mask
from paymux.domain.transfer import TransferType
from paymux.ingestion.ingester import Counts, Holder, Ingester
from paymux.ingestion.page import Page
from paymux.logs import configure
from paymux.runtime.apart import Apart
from paymux.runtime.registry import Registry
from paymux.runtime.scheduling import Planner
from paymux.sdk import (
    Account,
    AccountType,
    Asset,
    Connector,
    ConnectorConfig,
    ConnectorContext,
    NotThere,
    Order,
    Payment,
    PaymentStatus,
    PaymentType,
    Restart,
    Reversal,
    Schedule,
    TaskContext,
    task,
)
from paymux.services.transferring import TransferOrder
from paymux.settings import Settings
from paymux.storage import installations

# Payouts that are approved one after the other, this far apart.
PAYOUTS, APART = 300, 0.02
TARGET = 500.0
# Payments in a page, and tasks that poll: twice as many as a worker does at a time.
SIZE, POLLERS = 100, 200
EUR = Asset("EUR", 2)
_LONGEST = 60.0


class Mint(Connector[ConnectorConfig]):
    """Pays at once, and notes when it was asked to; its pollers never come to an end."""

    name = "mint"
    max_tasks = 1000
    look_up_lag = timedelta(0)
    asked: ClassVar[dict[str, float]] = {}
    pages: ClassVar[Iterator[int]] = itertools.count()
    polling: ClassVar[bool] = False

    async def initiate_payment(self, ctx: ConnectorContext, order: Order) -> Payment:
        """Note the time, and pay."""
        del ctx
        self.asked[order.reference] = time.time()
        return Payment(
            reference=order.reference,
            type=PaymentType.PAYOUT,
            status=PaymentStatus.SUCCEEDED,
            amount=order.amount,
        )

    async def look_up(self, ctx: ConnectorContext, order: Order | Reversal) -> NotThere:
        """Nothing gets lost here."""
        del ctx, order
        return NotThere()

    @task
    async def poll(self, ctx: TaskContext, number: int) -> None:
        """Take in one new page after the other."""
        del number
        while self.polling:
            content = provider.page(next(self.pages), SIZE)
            await ctx.ingest(payments=provider.payments(content))

    def supported_currencies_and_decimals(self) -> dict[str, int]:
        """What it deals in."""
        return {"EUR": 2}


def measure(*, quick: bool) -> list[Figure]:
    """From the approval to the provider, without load and with."""
    count = PAYOUTS // 10 if quick else PAYOUTS
    with ground.server() as url, Path(os.devnull).open("wb") as nothing:
        configure("logfmt", "info", Mask(), nothing)
        return ground.on_loop(lambda: _delays(url, count))


async def _delays(url: str, count: int) -> list[Figure]:
    async with ground.fresh_database(url) as there:
        chosen = Settings(run_concurrency=POLLERS // 2)
        async with service(
            chosen, ground.ground(there), worker=True, registry=Registry.of([Mint])
        ) as running:
            till = await Till(running).open()
            async with till.hand(chosen, there):
                await till.pay(range(20))  # connections, plans and code get warm
                alone = await till.pay(range(20, 20 + count))
                say("  money: alone")
                async with till.polling() as taken:
                    loaded = await till.pay(range(20 + count, 20 + 2 * count))
                    rate = taken()
                say("  money: under load")
    return [
        Figure(
            what="money: approved, to the provider, p99", value=1000 * p99(alone), unit="ms", floor=1.0,
            target=TARGET, sense="<=", note=f"p50 {1000 * p50(alone):.0f} ms",
        ),
        Figure(
            what="money: the same, polling at full load, p99", value=1000 * p99(loaded), unit="ms", floor=1.0,
            target=TARGET, sense="<=", note=f"p50 {1000 * p50(loaded):.0f} ms; {rate:,.0f} payments/s",
        ),
        Figure(
            what="money: full load beside none, p99", value=1000 * p99(loaded), unit="ms",
            floor=1000 * p99(alone), beside="without load", sense="<=",
        ),
    ]  # fmt: skip


class Till:
    """An installation of the mint, and a hand that orders and approves."""

    def __init__(self, running: Service) -> None:
        self._service = running
        self._connector: ConnectorID
        self._holder: Holder

    async def open(self) -> "Till":
        """Install it, with an account to pay from and one to pay to."""
        self._connector = await self._service.installing.install("mint", {})
        found = await installations.get(self._service.database, self._connector.reference)
        assert found is not None
        self._installation = found
        self._holder = Holder(found["id"], self._connector.reference)
        accounts = [
            Account(reference="ours", type=AccountType.INTERNAL),
            Account(reference="theirs", type=AccountType.EXTERNAL),
        ]
        ingester = Ingester(self._service.database, lambda: None)
        await ingester.commit(self._holder, Page(self._holder.uuid, accounts=accounts), Counts())
        return self

    @asynccontextmanager
    async def hand(self, chosen: Settings, url: str) -> AsyncIterator[None]:
        """Let another service, which works at nothing, order and approve."""
        apart, ends = Apart("hand"), AsyncExitStack()
        other = service(chosen, ground.ground(url), worker=False, registry=Registry.of([Mint]))
        self._hand = await apart.do(ends.enter_async_context(other))
        self._apart = apart
        try:
            yield
        finally:
            await apart.do(ends.aclose())
            await apart.close()

    async def pay(self, numbers: range) -> list[float]:
        """Seconds from when the approval of each payout is in the record to when the provider is called."""
        return await self._apart.do(self._pay(numbers))

    async def _pay(self, numbers: range) -> list[float]:
        took = []
        for number in numbers:
            await self._hand.transferring.create(self._installation, self._order(str(number)))
            await self._hand.transferring.decide(TransferParts(self._connector, str(number)), "APPROVE")
            async with asyncio.timeout(_LONGEST):
                while str(number) not in Mint.asked:  # noqa: ASYNC110 - noted by the provider
                    await asyncio.sleep(0.001)
            took.append(Mint.asked[str(number)] - await self._approved(number))
            await asyncio.sleep(APART)
        return took

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[Callable[[], float]]:
        """Let tasks that poll without a pause take all places, and more wait; yields payments a second."""
        planner = Planner(self._service.database, self._service.engine, self._holder)
        for number in range(POLLERS):
            await planner.schedule({"poll": {"number": number}}, Schedule.now(), Restart.ALWAYS)
        Mint.polling = True
        async with self._service.database.transaction() as db:
            await planner.write(db, plans=planner.waiting)
        async with asyncio.timeout(_LONGEST):
            while self._service.worker.running < POLLERS // 2:  # noqa: ASYNC110 - begun by workers
                await asyncio.sleep(0.05)
        pages, begun = next(Mint.pages), time.perf_counter()
        try:
            yield lambda: (next(Mint.pages) - pages) * SIZE / (time.perf_counter() - begun)
        finally:
            Mint.polling = False

    async def _approved(self, number: int) -> float:
        at = await self._hand.database.fetchval(
            "SELECT a.created_at FROM transfer_adjustment a JOIN transfer t ON t.key = a.transfer"
            " WHERE t.reference = $1 AND a.event = 'APPROVE'",
            str(number),
        )
        return float(at.timestamp())

    def _order(self, reference: str) -> TransferOrder:
        return TransferOrder(
            reference=reference, type=TransferType.PAYOUT, amount=100, asset=EUR,
            source=AccountParts(self._connector, "ours"),
            destination=AccountParts(self._connector, "theirs"),
        )  # fmt: skip
