"""An installation in a database of the test's own, and a look at all that it brought in."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from paymux.domain.account import Account, AccountType
from paymux.domain.aside import SetAside
from paymux.domain.balance import Balance
from paymux.domain.ids import canonical_json, row_key, task_id
from paymux.domain.money import Amount, Asset
from paymux.domain.payment import Payment, PaymentStatus, PaymentType
from paymux.domain.task import Restart, Schedule
from paymux.ingestion.ingester import Counts, Holder, Ingester
from paymux.ingestion.page import Page
from paymux.storage import events, installations, tasks
from paymux.storage.database import Database, Row

EUR = Asset.parse("EUR/2")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
TABLES = ("account", "balance", "payment", "adjustment", "event", "set_aside")


def payment(reference: str = "p", status: str = "PENDING", **changes: Any) -> Payment:
    known: dict[str, Any] = {"type": PaymentType.PAY_IN, "amount": Amount(100, EUR)}
    return Payment(reference=reference, status=PaymentStatus(status), **known | changes)


def account(reference: str = "a", **changes: Any) -> Account:
    return Account(reference=reference, **{"type": AccountType.INTERNAL} | changes)


def balance(minor: int, at: datetime | None = None, reference: str = "a", asset: str = "EUR/2") -> Balance:
    return Balance(account=reference, amount=Amount(minor, Asset.parse(asset)), at=at)


class Inlet:
    """One installation's way in."""

    def __init__(self, database: Database, key: int, uuid: UUID) -> None:
        self.database = database
        self.holder = Holder(key, uuid)
        self.told = 0
        self._ingester = Ingester(database, self._tell)

    @classmethod
    async def open(cls, database: Database) -> "Inlet":
        """Install something."""
        uuid = uuid4()
        async with database.transaction() as db:
            key = await installations.insert(
                db, uuid=uuid, provider="EXAMPLE", name=str(uuid), config=b"", max_tasks=10
            )
            await installations.installed(db, key)
        return cls(database, key, uuid)

    def _tell(self) -> None:
        self.told += 1

    def through(self, database: Database) -> "Inlet":
        """The same installation over other connections."""
        return Inlet(database, self.holder.installation, self.holder.uuid)

    async def ingest(
        self,
        *,
        accounts: Iterable[Account | SetAside] = (),
        balances: Iterable[Balance | SetAside] = (),
        payments: Iterable[Payment | SetAside] = (),
        aside: Iterable[SetAside] = (),
        holder: Holder | None = None,
        state: str | None = None,
        also: Callable[[Any], Any] | None = None,
        counts: Counts | None = None,
    ) -> Counts:
        """Commit one page, and count it: by itself, or with those before it."""
        counts = Counts() if counts is None else counts
        page = Page(self.holder.uuid, accounts=accounts, balances=balances, payments=payments, aside=aside)
        await self._ingester.commit(holder or self.holder, page, counts, state=state, also=also)
        return counts

    async def run(self, name: str = "fetch", *, job: int = 1) -> Holder:
        """Schedule a task and begin a run of it; begun again under the same job, it is taken over."""
        descriptor = canonical_json({name: {}})
        identity = task_id(self.holder.uuid, descriptor)
        plan = tasks.Plan(identity, descriptor, Schedule.now(), Restart.NEVER)
        async with self.database.transaction() as db:
            await tasks.schedule(db, self.holder.installation, [plan])
        generation = await self.database.fetchval("SELECT generation FROM task WHERE id = $1", identity)
        begun = await tasks.begin(self.database, job, identity, generation)
        assert begun is not None
        return Holder(self.holder.installation, self.holder.uuid, begun.task, begun.token)

    async def rows(self, table: str, order: str = "1") -> list[Row]:
        """All rows of a table that are of this installation."""
        owner = {
            "installation": "id = $1",
            "balance": "account IN (SELECT key FROM account WHERE installation = $1)",
            "adjustment": "payment IN (SELECT key FROM payment WHERE installation = $1)",
        }.get(table, "installation = $1")
        return await self.database.fetch(
            f"SELECT *, ctid, xmin FROM {table} WHERE {owner} ORDER BY {order}",  # noqa: S608 - names of tables
            self.holder.installation,
        )

    async def ink(self) -> dict[str, list[Row]]:
        """Everything as it is written down, down to where: a row that is written again shows."""
        return {table: await self.rows(table) for table in TABLES}

    async def payment(self, reference: str = "p") -> Row:
        """The row of a payment."""
        row = await self.database.fetchrow(
            "SELECT * FROM payment WHERE key = $1", row_key(self.holder.uuid, "payment", reference)
        )
        assert row is not None
        return row

    async def account(self, reference: str = "a") -> Row:
        """The row of an account."""
        row = await self.database.fetchrow(
            "SELECT * FROM account WHERE key = $1", row_key(self.holder.uuid, "account", reference)
        )
        assert row is not None
        return row

    async def adjustments(self, reference: str = "p") -> list[Row]:
        """The reports of a payment, oldest first."""
        return await self.database.fetch(
            "SELECT *, ctid, xmin FROM adjustment WHERE payment = $1 ORDER BY reported_at, report",
            row_key(self.holder.uuid, "payment", reference),
        )

    async def statuses(self, reference: str = "p") -> list[str]:
        """What each report of a payment said, oldest first."""
        return [row["status"] for row in await self.adjustments(reference)]

    async def intervals(self, reference: str = "a", asset: str = "EUR/2") -> list[tuple[Any, Any, int]]:
        """The balances of an account: from, to, amount; oldest first."""
        rows = await self.database.fetch(
            "SELECT * FROM balance WHERE account = $1 AND asset = $2 ORDER BY created_at",
            row_key(self.holder.uuid, "account", reference),
            asset,
        )
        return [(row["created_at"], row["last_updated_at"], row["amount"]) for row in rows]

    async def events(self, kind: str = "SAVED_PAYMENT") -> list[Row]:
        """The outbox, in order."""
        return [row for row in await self.rows("event", "seq") if row["type"] == kind]

    async def line(self) -> list[Row]:
        """All events in the line in which they are told, with what their payloads are made of."""
        await events.line_up(self.database)
        return (await events.after(self.database, 0, 1000))[0]
