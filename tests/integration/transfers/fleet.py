"""A fleet of worker processes that move money by a sandbox, somebody who sinks them, and clerks who order."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from tests.integration.runtime.scene import Scene
from tests.integration.transfers.conftest import Site

from paymux.domain.transfer import TransferEvent, TransferStatus, folded
from paymux.runtime.patience import patiently
from paymux.sandbox.menu import Misbehaviour
from paymux.services.transferring import NotPossible, ReversalOrder, WrongOrder
from paymux.storage.database import Row
from paymux.storage.embedded import EmbeddedPostgres

# A connector of somebody's that the workers find by its entry point.
PACKAGE = {
    "hastypay-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: hastypay\nVersion: 1\n",
    "hastypay-1.dist-info/entry_points.txt": "[paymux.connectors]\nhastypay = hastypay:HastyPay\n",
    "hastypay.py": """
from datetime import timedelta
from paymux.connectors.dummypay.connector import DummyPay

class HastyPay(DummyPay):
    name = "hastypay"
    look_up_lag = timedelta(0)
""",
}
LOOK_UPS = "100ms,200ms,500ms"
# Minor units of an order, of one that the provider does not have the money for, and of a reversal.
AMOUNT, TOO_MUCH, SOME = 500, 10**9, 300
# Of every so many orders: one is approved by two at once, one rejected, one scheduled, one too much.
APPROVED, REJECTED, SCHEDULED, REFUSED = 5, 17, 11, 13
# How many clerks order at a time.
CLERKS = 8
# For longer than the lease.
FROZEN = 3.0

_DONE = ("PROCESSED", "PARTIALLY_REVERSED", "REVERSED", "REVERSE_FAILED", "FAILED", "REJECTED")
_PAID = {"PROCESSED", "PARTIALLY_REVERSED", "REVERSED", "REVERSE_FAILED"}


class Fleet(Scene):
    """Workers on one database, of which any may be killed or frozen at any time."""

    def __init__(self, url: str, folder: Path, site: Site, seed: int) -> None:
        super().__init__(url, folder)
        self.site = site
        self.chance = random.Random(seed)  # noqa: S311 - says who, when and how, and the same again
        self.kills = 0
        self.freezes = 0
        # Neither killed nor frozen.
        self._afloat: list[asyncio.subprocess.Process] = []
        self.conflicts: Counter[str] = Counter()

    async def launch(self) -> None:
        """Start another worker."""
        self._afloat.append(await self.worker(PAYMUX_LOOK_UP_SCHEDULE=LOOK_UPS, PAYMUX_GRACE="1"))

    async def sink(self) -> None:
        """Kill a worker, whatever it is at, and start another."""
        self._any().kill()
        self.kills += 1
        await self.launch()

    async def freeze(self) -> None:
        """Stop a worker past its lease, and let it wake up when others have taken over."""
        one = self._any()
        one.send_signal(signal.SIGSTOP)
        await asyncio.sleep(FROZEN)
        one.send_signal(signal.SIGCONT)
        self._afloat.append(one)
        self.freezes += 1

    async def without_database(self, server: EmbeddedPostgres, home: Path) -> EmbeddedPostgres:
        """Let the database go away for seconds and come back, by a server that is returned."""
        await self.db.close()
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(2)
        again = EmbeddedPostgres(home)
        self.url = await asyncio.to_thread(again.start)
        self.db = await asyncpg.connect(self.url)
        return again

    def _any(self) -> asyncio.subprocess.Process:
        return self._afloat.pop(self.chance.randrange(len(self._afloat)))

    @asynccontextmanager
    async def trouble(self, share: float) -> AsyncIterator[None]:
        """Let so many of the provider's answers be wrong, in every way there is.

        That it forbids everything is for orders alone: whoever polls would ask for a login, and wait.
        """
        each = 1 - (1 - share) ** (1 / len(Misbehaviour))
        every = dict.fromkeys(Misbehaviour, each)
        mild = {one: chance for one, chance in every.items() if one != Misbehaviour.FORBID}

        async def turns() -> None:
            for on, probability in cycle((("POST", every), ("", mild))):
                self.site.sandbox.misbehave(on=on, probability=probability)
                await asyncio.sleep(1)

        turning = asyncio.create_task(turns())
        try:
            yield
        finally:
            turning.cancel()
            self.site.sandbox.misbehave()

    async def order(self, count: int, pause: float) -> None:
        """Let clerks order so many payouts, with a pause after each."""
        numbers = iter(range(count))

        async def clerk() -> None:
            for number in numbers:
                await self._order(number)
                await asyncio.sleep(pause)

        await asyncio.gather(*(clerk() for _ in range(CLERKS)))

    async def _order(self, number: int) -> None:
        reference = f"order {number}"
        soon = datetime.now(UTC) + timedelta(seconds=self.chance.uniform(0, 3))
        create = partial(
            self.site.create,
            reference,
            AMOUNT if number % REFUSED else TOO_MUCH,
            validated=number % APPROVED > 0 and number % REJECTED > 0,
            scheduled_at=None if number % SCHEDULED else soon,
        )
        # The same order again is the first one.
        await patiently(create)
        identity = self.site.id(reference)
        decide = self.site.service.transferring.decide
        if not number % REJECTED:
            await self._one_wins("reject", lambda: decide(identity, "REJECT"))
        elif not number % APPROVED:
            await self._one_wins("approve", lambda: decide(identity, "APPROVE"))

    async def retry(self) -> None:
        """Let two at a time try again whatever has failed."""
        for row in await self._those("FAILED"):
            identity = self.site.id(row["reference"])
            await self._one_wins("retry", lambda i=identity: self.site.service.transferring.retry(i))  # type: ignore[misc]

    async def take_back(self, share: float) -> None:
        """Let two at a time take some of an order back; there is not enough for both."""
        for row in await self._those("PROCESSED"):
            if self.chance.random() < share:
                names = iter((f"{row['reference']} back", f"{row['reference']} again"))

                def reverse(found: str = row["reference"], names: Any = names) -> Any:
                    order = ReversalOrder(
                        reference=next(names), amount=SOME, asset=self.site.order("x").asset
                    )
                    return self.site.service.transferring.reverse(self.site.id(found), order)

                await self._one_wins("reverse", reverse)

    async def _one_wins(self, what: str, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Two do the same at once; one of them is told that he was late.

        The other as well, when his answer was lost with the database, and he asks again.
        """
        results = await asyncio.gather(patiently(act), patiently(act), return_exceptions=True)
        late = [result for result in results if result is not None]
        assert all(isinstance(error, NotPossible | WrongOrder) for error in late), late
        assert late, what
        self.conflicts[what] += len(late) == 1

    async def _those(self, status: str) -> list[Row]:
        return await self.site.database.fetch("SELECT reference FROM transfer WHERE status = $1", status)

    async def settled(self, within: float) -> None:
        """Wait until every order has come to an end."""

        async def look() -> bool:
            self.site.sandbox.hurry()
            question = "SELECT count(*) FROM paymux.transfer WHERE status <> ALL ($1)"
            return not await self.db.fetchval(question, list(_DONE))

        try:
            await self.until(look, within)
        except TimeoutError:
            rows = await self.db.fetch(
                "SELECT t.reference, t.status, t.error, t.due_at - now() AS due, t.job, a.state, a.looks FROM"
                " paymux.transfer t JOIN paymux.transfer_attempt a ON a.transfer = t.key"
                " AND a.number = t.attempts WHERE t.status <> ALL ($1) LIMIT 5", list(_DONE),
            )  # fmt: skip
            raise AssertionError([dict(row) for row in rows]) from None

    async def check(self, count: int) -> Counter[str]:
        """The provider's books say what ours say: paid once, or not at all. Returns statuses reached."""
        books = self.site.sandbox.books()
        rows = await self.db.fetch(
            "SELECT t.reference, t.status, t.amount, t.reversed, t.attempts, json_agg(json_build_array("
            " a.event, a.status) ORDER BY a.number)::text AS history FROM paymux.transfer t"
            " JOIN paymux.transfer_adjustment a ON a.transfer = t.key GROUP BY t.key"
        )
        assert len(rows) == count
        reached: Counter[str] = Counter()
        for row in rows:
            paid = books["orders"].get(row["reference"], {"paid": 0, "amount": 0})
            once = row["status"] in _PAID
            assert (paid["paid"], paid["amount"]) == (once, row["amount"] * once), (dict(row), paid)
            history = (_, beginning), *happened = msgspec.json.decode(row["history"])
            reached.update(status for _, status in history)
            events = [TransferEvent(event) for event, _ in happened]
            assert folded(TransferStatus(beginning), events) == row["status"], dict(row)
        await self._check_reversals(books)
        await self._check_payments(books)
        return reached

    async def _check_reversals(self, books: Any) -> None:
        reversals = await self.db.fetch(
            "SELECT v.reference, v.status, v.amount, t.reversed FROM paymux.transfer_reversal v"
            " JOIN paymux.transfer t ON t.key = v.transfer"
        )
        for row in reversals:
            paid = books["orders"].get(row["reference"], {"paid": 0})["paid"]
            assert paid == (row["status"] == "PROCESSED"), (dict(row), paid)
            assert row["reversed"] == row["amount"] * paid

    async def _check_payments(self, books: Any) -> None:
        """Each payment that an order has become is in the provider's books, and comes in as one of ours."""
        made = {p["id"]: p for p in books["payments"].values() if p["idempotency_key"]}

        async def all_in() -> bool:
            rows = await self.db.fetch("SELECT reference FROM paymux.payment")
            return made.keys() <= {row["reference"] for row in rows}

        await self.until(all_in, 30)
        linked = await self.db.fetch(
            "SELECT l.reference, l.status, a.key FROM paymux.transfer_payment l"
            " JOIN paymux.transfer_attempt a ON a.transfer = l.transfer AND a.number = l.attempt"
        )
        for row in linked:
            payment = made[row["reference"]]
            assert payment["idempotency_key"] == row["key"]
            assert row["status"] == ("FAILED" if payment["status"] == "failed" else "PROCESSED"), payment
        moved = {reference for reference, payment in made.items() if payment["status"] != "failed"}
        assert moved <= {row["reference"] for row in linked}
