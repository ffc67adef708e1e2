"""Three tasks keep up with the provider; orders go out under their key and can be looked up by it."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from paymux.connectors.dummypay.client import Client, CursorExpired, Page, payment_path
from paymux.connectors.dummypay.config import Config
from paymux.connectors.dummypay.mapping import (
    ASSETS,
    READERS,
    accepted,
    account,
    balance,
    named,
    newest,
    payment,
)
from paymux.sdk import (
    Accepted,
    Account,
    Balance,
    BankAccountToCreate,
    Connector,
    ConnectorContext,
    NotThere,
    Order,
    Payment,
    Refused,
    Restart,
    Reversal,
    Schedule,
    SetAside,
    SkipRecord,
    TaskContext,
    TransferType,
    mapped,
    task,
)

# How far back every walk reads what has been read: the provider's clock is not ours, it makes several
# changes in one second, and it changes things without saying so.
OVERLAP = timedelta(hours=1)


class Mark(msgspec.Struct, frozen=True):
    """Where a walk through a list is. What is read counts as read when the walk has come to its end."""

    # All that changed up to here has been read.
    seen: datetime | None = None
    # Of the walk that is under way: when it began, the latest change it met, and where it goes on.
    began: datetime | None = None
    latest: datetime | None = None
    cursor: str | None = None

    @property
    def since(self) -> datetime | None:
        """From when on to ask."""
        return self.seen and self.seen - OVERLAP

    def after(self, page: Page, now: datetime) -> "Mark":
        """The mark behind a page that was asked for ``now``."""
        began = self.began or now
        latest = max(filter(None, (self.latest, newest(page.data))), default=None)
        if page.next_cursor is not None:
            return Mark(self.seen, began, latest, page.next_cursor)
        # What happens while we walk may be behind us, and one row from the future must not hide the present.
        return Mark(min(latest, began) if latest else self.seen)


class DummyPay(Connector[Config]):
    """Keeps up with a sandbox, and moves its money."""

    name = "dummypay"

    async def check(self, ctx: ConnectorContext) -> None:  # noqa: ARG002 - all of these methods are given one
        """See whether the provider is there and takes the key."""
        async with Client(self.config) as client:
            await client.page("/v1/balances")

    async def install(self, ctx: ConnectorContext) -> None:
        """Keep up from now on."""
        for each in (self.accounts(), self.balances(), self.payments()):
            await ctx.schedule(each, Schedule.every(self.config.every), Restart.ALWAYS)

    @task
    async def accounts(self, ctx: TaskContext) -> None:
        """Read the accounts that are new or have changed."""

        async def ingest(page: Page, mark: Mark) -> None:
            await ctx.ingest(accounts=mapped(page.data, account, kind="account"), state=mark)

        await self._walk(ctx, "/v1/accounts", ingest)

    @task
    async def balances(self, ctx: TaskContext) -> None:
        """Read all balances."""
        async with Client(self.config) as client:
            page = await client.page("/v1/balances")
        await ctx.ingest(balances=mapped(page.data, balance, kind="balance"))

    @task
    async def payments(self, ctx: TaskContext) -> None:
        """Read the payments that are new or have changed."""

        async def ingest(page: Page, mark: Mark) -> None:
            await ctx.ingest(payments=mapped(page.data, payment), state=mark)

        await self._walk(ctx, "/v1/payments", ingest)

    async def replay(
        self,
        ctx: ConnectorContext,  # noqa: ARG002
        record: SetAside,
        task: object,  # noqa: ARG002
    ) -> list[Account | Balance | Payment]:
        """Read a payment as the provider has it now; whatever else it is, as it came."""
        raw = record.raw.encode() if isinstance(record.raw, str) else record.raw or b""
        try:
            if record.kind == "payment":
                async with Client(self.config) as client:
                    raw = await client.payment(named(raw))
            return [READERS[record.kind](raw)]
        except (Refused, LookupError, ValueError) as error:
            raise SkipRecord(str(error)) from None

    async def initiate_payment(self, ctx: ConnectorContext, order: Order) -> Payment | Accepted:  # noqa: ARG002
        """Pay out, or transfer."""
        body = {
            "from": order.source,
            "to": order.destination,
            "amount": order.amount.minor,
            "currency": order.amount.asset.code,
            "reference": order.reference,
            "description": order.description,
            "metadata": order.metadata,
        }
        path = "/v1/payouts" if order.type is TransferType.PAYOUT else "/v1/transfers"
        return accepted(await self._send(path, body, order.idempotency_key))

    async def reverse_payment(self, ctx: ConnectorContext, reversal: Reversal) -> Payment | Accepted:  # noqa: ARG002
        """Take some of a payment back."""
        body = {
            "amount": reversal.amount.minor,
            "reference": reversal.reference,
            "description": reversal.description,
            "metadata": reversal.metadata,
        }
        path = f"{payment_path(reversal.payment)}/reversals"
        return accepted(await self._send(path, body, reversal.idempotency_key))

    async def create_external_bank_account(
        self,
        ctx: ConnectorContext,  # noqa: ARG002
        bank_account: BankAccountToCreate,
    ) -> Account:
        """Make a beneficiary known."""
        body = {
            "name": bank_account.name,
            "country": bank_account.country,
            "iban": bank_account.iban,
            "account_number": bank_account.account_number,
            "bic": bank_account.bic,
            "metadata": bank_account.metadata,
        }
        return account(await self._send("/v1/bank_accounts", body, bank_account.idempotency_key))

    async def look_up(
        self,
        ctx: ConnectorContext,  # noqa: ARG002
        order: Order | Reversal,
    ) -> Payment | Accepted | NotThere:
        """Find what became of an order, by its key."""
        async with Client(self.config) as client:
            found = await client.find(order.idempotency_key)
        return NotThere() if found is None else accepted(found)

    def supported_currencies_and_decimals(self) -> Mapping[str, int]:
        """What the provider deals in."""
        return {code: asset.exponent for code, asset in ASSETS.items()}

    async def _send(self, path: str, body: object, key: str) -> bytes:
        async with Client(self.config) as client:
            return await client.send(path, body, key)

    async def _walk(
        self, ctx: TaskContext, path: str, ingest: Callable[[Page, Mark], Awaitable[None]]
    ) -> None:
        """Walk through what changed since the mark, from where the last run was cut off."""
        mark = ctx.state(Mark)
        async with Client(self.config) as client:
            while True:
                asked = ctx.clock()
                try:
                    page = await client.page(path, mark.since, mark.cursor)
                except CursorExpired:
                    await ctx.ingest(state=Mark(mark.seen))
                    raise
                mark = mark.after(page, asked)
                await ingest(page, mark)
                if page.next_cursor is None:
                    return
