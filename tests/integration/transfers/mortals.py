"""Workers that die or freeze at a step that a test has chosen, and an engine that delivers what they left."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from tests.integration.transfers.conftest import BENEFICIARY, EUR, KEY, OWN, HastyPay

from paymux.domain.ids import AccountParts, TransferParts, row_key
from paymux.domain.mask import Mask
from paymux.domain.transfer import TransferType
from paymux.ingestion.ingester import Counts, Holder, Ingester
from paymux.ingestion.page import Page
from paymux.runtime.dispatcher import Dispatcher, Times
from paymux.runtime.engine import Due, Handle
from paymux.runtime.installations import Installations
from paymux.runtime.registry import Registry
from paymux.sandbox.server import Sandbox
from paymux.sdk import (
    Accepted,
    Account,
    AccountType,
    ConnectorContext,
    Order,
    Payment,
    Reversal,
)
from paymux.services.means import Means
from paymux.services.transferring import ReversalOrder, TransferOrder, Transferring
from paymux.storage import installations
from paymux.storage.database import Connection, Database, Row
from paymux.storage.tasks import Job
from paymux.storage.vault import Vault

LOOK_UPS = (timedelta(milliseconds=20),)


class Gate:
    """Where a worker stops: it says that it is there, and goes on when it may, or never."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await self.open.wait()


class GatedPay(HastyPay):
    """Stops before a call, or when it has its answer, where a test has put a gate; once for each."""

    name = "dummypay"
    gates: ClassVar[dict[tuple[str, str], Gate]] = {}

    async def initiate_payment(self, ctx: ConnectorContext, order: Order) -> Payment | Accepted:
        await self._stop("calling", order.reference)
        try:
            return await super().initiate_payment(ctx, order)
        finally:
            await self._stop("called", order.reference)

    async def reverse_payment(self, ctx: ConnectorContext, reversal: Reversal) -> Payment | Accepted:
        await self._stop("calling", reversal.reference)
        try:
            return await super().reverse_payment(ctx, reversal)
        finally:
            await self._stop("called", reversal.reference)

    async def _stop(self, step: str, reference: str) -> None:
        gate = self.gates.pop((step, reference), None)
        if gate is not None:
            await gate.wait()


class Post:
    """An engine that delivers when it is told to; what is due it reads from the orders themselves."""

    def __init__(self) -> None:
        self.handle: Handle
        self.ready = asyncio.Event()
        # By order: where whoever hands something over within a transaction stops.
        self.gates: dict[UUID, Gate] = {}
        # The order that a task of ours is at.
        self.at: dict[asyncio.Task[Any], UUID] = {}

    async def prepare(self, db: Connection) -> None:
        """There is nothing to make."""

    async def enqueue(self, db: Connection, jobs: Sequence[Job]) -> None:
        del db, jobs
        task = asyncio.current_task()
        assert task is not None
        gate = self.gates.pop(self.at[task], None) if task in self.at else None
        if gate is not None:
            await gate.wait()

    async def run(self, handle: Handle) -> None:
        self.handle = handle
        self.ready.set()
        await asyncio.Event().wait()

    def stop(self) -> None:
        """Nothing comes by itself."""

    def lent(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    async def reclaim(self) -> int:
        return 0

    async def missing(self, tasks: Sequence[tuple[UUID, int, int | None]]) -> list[tuple[UUID, int]]:
        del tasks
        return []

    async def due(self, db: Database) -> Due:
        del db
        return Due(0, 0)

    def deliver(self, key: UUID, generation: int, job: int) -> "asyncio.Task[None]":
        """Hand a job over."""
        task: asyncio.Task[None] = asyncio.ensure_future(self.handle(job, key, generation))
        self.at[task] = key
        return task


class Ward:
    """One installation, and two workers for it that know nothing of each other."""

    def __init__(self, database: Database, sandbox: Sandbox) -> None:
        self.database = database
        self.sandbox = sandbox
        self.posts = Post(), Post()
        self._jobs = iter(range(1, 10**9))
        self._running: list[asyncio.Task[None]] = []
        self.transferring: Transferring
        self.row: Row

    async def open(self) -> None:
        """Install, make the accounts known, and let the workers wait for work."""
        registry = Registry.of([GatedPay])
        at_work = Installations(self.database, registry, Vault([KEY]), Mask())
        config = GatedPay.config_class.model_validate(
            {"url": self.sandbox.url, "apiKey": "sandbox", "timeout": "500ms", "name": "ward"}
        )
        uuid = UUID(int=7)
        async with self.database.transaction() as db:
            key = await installations.insert(
                db,
                uuid=uuid,
                provider="DUMMYPAY",
                name="ward",
                config=at_work.seal(uuid, config),
                max_tasks=1,
            )
            await installations.installed(db, key)
        found = await installations.get(self.database, uuid)
        assert found is not None
        self.row = found
        self.connector = at_work.read(self.row).id
        ingester = Ingester(self.database, lambda: None)
        accounts = [
            Account(reference=OWN, type=AccountType.INTERNAL),
            Account(reference=BENEFICIARY, type=AccountType.EXTERNAL),
        ]
        await ingester.commit(Holder(key, uuid), Page(uuid, accounts=accounts), Counts())
        means = Means(self.database, registry, at_work, self.posts[0], lambda: None)
        self.transferring = Transferring(means, self.posts[0])
        for post in self.posts:
            worker = Dispatcher(
                database=self.database, engine=post, tasks=post, mask=Mask(), ingester=ingester,
                installations=Installations(self.database, registry, Vault([KEY]), Mask()),
                told=lambda: None, times=Times(LOOK_UPS),
            )  # fmt: skip
            self._running.append(asyncio.create_task(worker.run()))
            await post.ready.wait()

    async def close(self) -> None:
        running = [*self._running, *(task for post in self.posts for task in post.at if not task.done())]
        for task in running:
            task.cancel()
        await asyncio.wait(running)

    def key(self, reference: str) -> UUID:
        return row_key(self.row["uuid"], "transfer", reference)

    def id(self, reference: str) -> TransferParts:
        return TransferParts(self.connector, reference)

    async def create(self, reference: str) -> None:
        await self.transferring.create(
            self.row,
            TransferOrder(
                reference=reference, type=TransferType.PAYOUT, amount=500, asset=EUR, validated=True,
                source=AccountParts(self.connector, OWN),
                destination=AccountParts(self.connector, BENEFICIARY),
            ),
        )  # fmt: skip

    async def reverse(self, reference: str, name: str) -> None:
        await self.transferring.reverse(
            self.id(reference), ReversalOrder(reference=name, amount=200, asset=EUR)
        )

    async def due(self) -> list[Row]:
        return await self.database.fetch(
            "SELECT key, reference, generation, job FROM transfer WHERE due_at <= clock_timestamp()"
        )

    async def deliver(self, reference: str, worker: int) -> "asyncio.Task[None]":
        """Hand the job of an order to one of the workers: the same job, when one has died over it."""
        row = await self.database.fetchrow(
            "SELECT generation, job FROM transfer WHERE key = $1", self.key(reference)
        )
        assert row is not None
        job = row["job"] or next(self._jobs)
        return self.posts[worker].deliver(self.key(reference), row["generation"], job)

    async def finish(self, worker: int, within: float = 20) -> None:
        """Let a worker do all that is due, as often as it is, until nothing more is to be done."""
        async with asyncio.timeout(within):
            while await self.database.fetchval("SELECT count(*) FROM transfer WHERE due_at IS NOT NULL"):
                tasks = [await self.deliver(row["reference"], worker) for row in await self.due()]
                if tasks:
                    await asyncio.gather(*tasks)
                self.sandbox.hurry()
                await asyncio.sleep(0.01)


@contextlib.contextmanager
def gated(post: Post, ward: Ward, step: str, order: str, named: str) -> Iterator[Gate]:
    """Put a gate where a worker shall stop; ``named`` is what the provider knows the order by."""
    gate = Gate()
    if step in {"calling", "called"}:
        GatedPay.gates[step, named] = gate
    elif step == "recording":
        post.gates[ward.key(order)] = gate
    yield gate
    GatedPay.gates.pop((step, named), None)
    post.gates.pop(ward.key(order), None)
