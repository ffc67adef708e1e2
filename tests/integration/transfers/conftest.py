"""A service in this process, the sandbox in a thread, and an installation that moves money by it."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, ClassVar

import pytest
import structlog
from tests.integration.services.conftest import until

from paymux.bootstrap import Ground, Service, service
from paymux.connectors.dummypay.connector import DummyPay
from paymux.domain.ids import AccountParts, ConnectorID, TransferParts
from paymux.domain.mask import Mask
from paymux.domain.transfer import TransferType
from paymux.runtime.registry import Registry
from paymux.sandbox.server import Sandbox
from paymux.sdk import Asset
from paymux.services.transferring import ReversalOrder, TransferOrder
from paymux.settings import Settings
from paymux.storage import installations
from paymux.storage.database import Row

KEY = bytes(range(32))
OWN, OWN_USD, BENEFICIARY = "acc_000001", "acc_000002", "ben_000006"
EUR = Asset("EUR", 2)


class HastyPay(DummyPay):
    """As DummyPay, of a provider that knows at once what it has taken."""

    name = "dummypay"
    look_up_lag: ClassVar[timedelta] = timedelta(0)


class Site:
    """A running service with an installation, and what tests ask of it."""

    def __init__(self, running: Service, sandbox: Sandbox) -> None:
        self.service = running
        self.database = running.database
        self.sandbox = sandbox
        self.connector: ConnectorID
        self.row: Row

    async def install(self, connector: ConnectorID | None = None, **config: Any) -> "Site":
        """Install, and wait until the accounts are there; or look at what another process has installed."""
        self.connector = connector or await self.service.installing.install(
            "dummypay",
            {"url": self.sandbox.url, "apiKey": "sandbox", "timeout": "500ms", **config},
        )
        row = await installations.get(self.database, self.connector.reference)
        assert row is not None
        self.row = row
        await until(lambda: self._known(BENEFICIARY))
        return self

    def order(self, reference: str, amount: int = 500, **more: Any) -> TransferOrder:
        """A payout that is approved already."""
        return TransferOrder(
            **{
                "reference": reference, "type": TransferType.PAYOUT, "amount": amount, "asset": EUR,
                "source": AccountParts(self.connector, OWN),
                "destination": AccountParts(self.connector, BENEFICIARY), "validated": True, **more,
            }
        )  # fmt: skip

    def id(self, reference: str) -> TransferParts:
        return TransferParts(self.connector, reference)

    async def create(self, reference: str, amount: int = 500, **more: Any) -> Row:
        return await self.service.transferring.create(self.row, self.order(reference, amount, **more))

    async def reverse(self, reference: str, amount: int, name: str) -> None:
        await self.service.transferring.reverse(
            self.id(reference), ReversalOrder(reference=name, amount=amount, asset=EUR)
        )

    async def get(self, reference: str) -> Row:
        return await self.service.transferring.get(self.id(reference))

    async def reached(self, reference: str, *statuses: str, within: float = 20) -> Row:
        """Wait until an order has one of these statuses."""
        try:
            found: Row = await until(lambda: self._one_of(reference, statuses), within)
        except TimeoutError:
            pytest.fail(f"{reference} did not reach {statuses}: {dict(await self.get(reference))}")
        return found

    def paid(self, reference: str) -> int:
        """How often the provider has truly paid it."""
        self.sandbox.hurry()
        return int(self.sandbox.books()["orders"].get(reference, {"paid": 0})["paid"])

    async def events(self, reference: str) -> list[str]:
        """Types of the events about an order, in order."""
        row = await self.get(reference)
        rows = await self.database.fetch("SELECT type FROM event WHERE object = $1 ORDER BY seq", row["key"])
        return [one["type"] for one in rows]

    async def _known(self, account: str) -> bool:
        return bool(
            await self.database.fetchval(
                "SELECT EXISTS (SELECT FROM account WHERE reference = $1 AND installation = $2"
                " AND hash IS NOT NULL)",
                account,
                self.row["id"],
            )
        )

    async def _one_of(self, reference: str, statuses: tuple[str, ...]) -> Row | None:
        row = await self.get(reference)
        return row if row["status"] in statuses else None


Start = Callable[..., Awaitable[Site]]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Drawing tracebacks takes longer than most tests."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def provider_at_work() -> Iterator[Sandbox]:
    with Sandbox(seed=7, payments=10, lateness=3600) as running:
        yield running


@pytest.fixture
def sandbox(provider_at_work: Sandbox) -> Sandbox:
    """It behaves well until it is told otherwise."""
    provider_at_work.reset()
    return provider_at_work


@pytest.fixture
async def start(database_url: str, sandbox: Sandbox) -> AsyncIterator[Start]:
    """Starts a service, as often as asked, on the test's database."""
    async with AsyncExitStack() as stack:

        async def start(found: type[DummyPay] = HastyPay, *, worker: bool = True, **settings: Any) -> Site:
            chosen = Settings(
                **{"heartbeat": 1, "grace": 2, "look_up_schedule": "50ms,100ms,200ms", **settings}
            )
            ground = Ground(database_url, [KEY], Mask(), alone=False)
            running = await stack.enter_async_context(
                service(chosen, ground, worker=worker, registry=Registry.of([found]))
            )
            return Site(running, sandbox)

        yield start
