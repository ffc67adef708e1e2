"""Order money to be moved, and decide on such orders: whatever is wrong is found before anything is stored.

An order, its first adjustment, its attempt with the key that the provider will get, the event and the
engine's job are one transaction. The provider is called afterwards, by a worker.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import structlog

from paymux.domain.account import AccountType
from paymux.domain.errors import shown
from paymux.domain.ids import AccountParts, TransferParts, row_key
from paymux.domain.money import Amount, Asset
from paymux.domain.transfer import TransferStatus, TransferType, idempotency_key
from paymux.runtime.engine import Engine
from paymux.runtime.installations import Installation
from paymux.runtime.patience import patiently
from paymux.sdk import Connector
from paymux.services.calling import calling
from paymux.services.means import Means
from paymux.storage import transfers
from paymux.storage.database import Connection, DatabaseError, Row, code_of
from paymux.storage.listing import key_of
from paymux.storage.operators import REFUSED
from paymux.storage.tasks import Job
from paymux.storage.transfers import Decision, NewReversal, NewTransfer, Paid

# Characters. It is part of an identifier, and that of a URL.
REFERENCE_MAX = 500
# Both go to the provider with every call.
DESCRIPTION_MAX = 10_000
METADATA_MAX = 65_536
# Beyond that it is another unit or another century that was meant.
SCHEDULED_MAX = timedelta(days=3660)

Work = Callable[[Connection], Awaitable[list[Job]]]


class WrongOrder(ValueError):
    """A field of the order is wrong; nothing was stored."""

    def __init__(self, field: str, why: str) -> None:
        self.fields = {field: why}
        super().__init__(f"{field}: {why}")


class NoSuchAccount(LookupError):
    """There is no such account."""


class NoSuchTransfer(LookupError):
    """There is no such transfer initiation."""


class NotPossible(RuntimeError):
    """The transfer initiation does not allow that as it is."""


class TransferOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to be moved."""

    reference: str
    type: TransferType
    amount: int
    asset: Asset
    source: AccountParts | None
    destination: AccountParts
    description: str = ""
    metadata: dict[str, str] = {}
    validated: bool = False
    scheduled_at: datetime | None = None


class ReversalOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to be taken back."""

    reference: str
    amount: int
    asset: Asset
    description: str = ""
    metadata: dict[str, str] = {}


class Transferring:
    """Takes orders, and people's decisions on them; ``lane`` is the engine of those who move money."""

    def __init__(self, means: Means, lane: Engine) -> None:
        self._means = means
        self._database = means.database
        self._at_work = means.at_work
        self._lane = lane

    async def get(self, wanted: TransferParts) -> Row:
        """An order with its history. Raises NoSuchTransfer."""
        row = await transfers.get(self._database, key_of(wanted))
        if row is None or row["provider"] != wanted.connector.provider:
            raise NoSuchTransfer(NoSuchTransfer.__doc__)
        return row

    async def create(self, installation: Row, order: TransferOrder) -> Row:
        """Take an order; the same one again is the first one, as it is by now.

        Raises:
            WrongOrder, NoSuchAccount: something is wrong with it.
            NotPossible: there is another one of this reference, or the installation is not open.
        """
        at_work = await self._able(installation, Connector.initiate_payment, "move money")
        self._check(order, at_work)
        source, destination = await self._accounts(order, installation)
        new = NewTransfer(
            key=row_key(installation["uuid"], "transfer", order.reference), installation=installation["id"],
            reference=order.reference, type=order.type, description=order.description, amount=order.amount,
            asset=str(order.asset), source=source, destination=destination,
            metadata=_json(order.metadata), validated=order.validated, scheduled_at=order.scheduled_at,
        )  # fmt: skip
        limit = type(at_work.connector).idempotency_key_max
        attempt_key = idempotency_key(at_work.id.reference, order.reference, 1, limit)
        fresh = False

        async def create(db: Connection) -> list[Job]:
            nonlocal fresh
            fresh, jobs = await transfers.create(db, new, attempt_key)
            return jobs

        await self._do(create)
        row = await transfers.get(self._database, new.key)
        if row is None:
            raise NotPossible("It was deleted meanwhile. Try again.")
        if fresh:
            _say("create", row)
        elif others := _differences(row, new):
            raise NotPossible(
                f"reference: {shown(order.reference)} is that of another transfer initiation of this"
                f" connector, which has another {', '.join(others)}. Choose another reference."
            )
        return row

    async def decide(self, wanted: TransferParts, decision: Decision, note: str | None = None) -> None:
        """Approve or reject an order. Raises NoSuchTransfer, NotPossible."""
        row = await self.get(wanted)
        # To be rejected it needs no connector: that may be gone.
        key = self._key_for(row, 1) if decision == "APPROVE" else ""
        await self._do(lambda db: transfers.judge(db, row["key"], decision, key, note))
        _say(decision.lower(), row, note=note)

    async def retry(self, wanted: TransferParts, note: str | None = None) -> None:
        """Try an order again that has surely failed, under a new key. Raises NoSuchTransfer, NotPossible."""
        row = await self.get(wanted)
        number = row["attempts"] + 1
        key = self._key_for(row, number)
        await self._do(lambda db: transfers.retry(db, row["key"], number, key, note))
        _say("retry", row, note=note)

    async def reverse(self, wanted: TransferParts, order: ReversalOrder) -> None:
        """Take an amount of an order back.

        Raises:
            NoSuchTransfer, WrongOrder, NotPossible: nothing was stored.
        """
        row = await self.get(wanted)
        if not _overrides(self._means.registry.get(row["provider"]), Connector.reverse_payment):
            raise WrongOrder("connectorID", f"{row['provider']} cannot take payments back")
        _check_texts(order.reference, order.description, order.metadata)
        _check_amount(order.amount, order.asset)
        if str(order.asset) != row["asset"]:
            raise WrongOrder("asset", f"the transfer initiation is of {row['asset']}")
        number = row["attempts"] + 1
        key = self._key_for(row, number)
        new = NewReversal(
            key=row_key(row["installation"], "reversal", order.reference), reference=order.reference,
            description=order.description, amount=order.amount, metadata=_json(order.metadata),
        )  # fmt: skip
        await self._do(lambda db: transfers.reverse(db, row["key"], number, key, new))
        _say("reverse", row, amount=order.amount, reversal=order.reference)

    async def delete(self, wanted: TransferParts) -> None:
        """Delete an order that nobody has decided on yet. Raises NoSuchTransfer, NotPossible."""
        row = await self.get(wanted)
        await self._do(partial(_nothing_due, transfers.delete, row["key"]))
        _say("delete", row)

    async def settle(self, wanted: TransferParts, *, paid: bool, note: str, payment: str | None) -> None:
        """Say what became of an order that is unknown; ``payment`` is the provider's reference of it.

        Raises:
            NoSuchTransfer, WrongOrder, NotPossible: nothing was changed.
        """
        row = await self.get(wanted)
        if not note.strip() or len(note) > DESCRIPTION_MAX:
            raise WrongOrder("note", f"must say how you know, in 1 to {DESCRIPTION_MAX} characters")
        made = None
        if payment:
            key = row_key(row["installation"], "payment", payment)
            made = Paid(key, payment, row["type"], TransferStatus.PROCESSED)
        settle = partial(transfers.settle, paid=paid, note=note, payment=made)
        await self._do(partial(_nothing_due, settle, row["key"]))
        _say("settle", row, outcome="paid" if paid else "not sent", note=note)

    def _key_for(self, row: Row, number: int) -> str:
        """The key of an attempt of an order that is there. Raises UnknownConnector."""
        limit = self._means.registry.get(row["provider"]).idempotency_key_max
        return idempotency_key(row["installation"], row["reference"], number, limit)

    async def _do(self, work: Work) -> None:
        """One transaction, with the jobs that follow. A collision is nobody's business; a loss is."""

        async def do() -> None:
            async with self._database.transaction() as db:
                await self._lane.enqueue(db, await work(db))

        try:
            await patiently(do, lambda: True)
        except DatabaseError as error:
            match code_of(error):
                case transfers.MISSING:
                    raise NoSuchTransfer(NoSuchTransfer.__doc__) from None
                case transfers.WRONG:
                    field, _, why = str(error).partition(": ")
                    raise WrongOrder(field, why) from None
                case code if code == REFUSED:
                    raise NotPossible(str(error)) from None
            raise
        self._means.told()

    async def _able(self, installation: Row, method: Any, what: str) -> Installation:
        found = self._means.registry.get(installation["provider"])
        if not _overrides(found, method):
            raise WrongOrder("connectorID", f"{installation['provider']} cannot {what}")
        return await self._at_work.at(installation["id"], installation["revision"])

    def _check(self, order: TransferOrder, at_work: Installation) -> None:
        """What can be seen without asking the database."""
        _check_texts(order.reference, order.description, order.metadata)
        _check_amount(order.amount, order.asset)
        if order.scheduled_at is not None and order.scheduled_at - datetime.now(UTC) > SCHEDULED_MAX:
            raise WrongOrder("scheduledAt", "is more than ten years away")
        with calling(self._at_work.mask, "list of currencies"):
            known = at_work.connector.supported_currencies_and_decimals()
        decimals = known.get(order.asset.code)
        if decimals is None:
            raise WrongOrder(
                "asset", f"{order.asset.code} is no currency that {at_work.id.provider} deals in"
            )
        if decimals != order.asset.exponent:
            right = Asset(order.asset.code, decimals)
            raise WrongOrder("asset", f"{order.asset.code} has {decimals} decimals here: write {right}")
        if order.source == order.destination:
            raise WrongOrder("destinationAccountID", "is the source")
        for field, account in (
            ("sourceAccountID", order.source), ("destinationAccountID", order.destination)
        ):  # fmt: skip
            if account is not None and account.connector != at_work.id:
                raise WrongOrder(field, "is an account of another connector")

    async def _accounts(
        self, order: TransferOrder, installation: Row
    ) -> tuple[tuple[UUID, str] | None, tuple[UUID, str]]:
        """Keys and references of the accounts, which must be there and of the right type."""
        source = (key_of(order.source), order.source.reference) if order.source else None
        destination = key_of(order.destination), order.destination.reference
        ends = [("destinationAccountID", destination, _DESTINATIONS[order.type])]
        if source:
            ends.append(("sourceAccountID", source, {AccountType.INTERNAL}))
        found = await transfers.account_types(self._database, installation["id"], [end[1][0] for end in ends])
        for field, (key, reference), types in ends:
            if key not in found:
                raise NoSuchAccount(f"{field}: there is no account {shown(reference)} of this connector.")
            if found[key] not in types:
                wanted = " or ".join(sorted(types))
                raise WrongOrder(
                    field, f"the account is {found[key]}; for a {order.type} it must be {wanted}"
                )
        return source, destination


_DESTINATIONS = {
    TransferType.TRANSFER: {AccountType.INTERNAL},
    TransferType.PAYOUT: {AccountType.EXTERNAL, AccountType.EXTERNAL_FORMANCE},
}


def _overrides(found: type[Connector[Any]], method: Any) -> bool:
    return getattr(found, method.__name__) is not method


def _check_texts(reference: str, description: str, metadata: dict[str, str]) -> None:
    if not reference.strip() or len(reference) > REFERENCE_MAX:
        raise WrongOrder("reference", f"must have 1 to {REFERENCE_MAX} characters, not all of them spaces")
    if len(description) > DESCRIPTION_MAX:
        raise WrongOrder("description", f"must have {DESCRIPTION_MAX} characters at most")
    if sum(len(key) + len(value) for key, value in metadata.items()) > METADATA_MAX:
        raise WrongOrder("metadata", f"must have {METADATA_MAX} characters at most, all together")


def _check_amount(amount: int, asset: Asset) -> None:
    if amount <= 0:
        raise WrongOrder("amount", "must be a positive number of minor units")
    try:
        Amount(amount, asset)
    except ValueError as error:
        raise WrongOrder("amount", str(error)) from None


def _differences(row: Row, new: NewTransfer) -> list[str]:
    """In which fields an order differs from the one that is there."""
    before = {
        "type": row["type"], "amount": row["amount"], "asset": row["asset"], "sourceAccountID": row["source"],
        "destinationAccountID": row["destination"], "description": row["description"],
        "metadata": transfers.metadata_of(row["metadata"]), "validated": row["validated"],
        "scheduledAt": row["scheduled_at"],
    }  # fmt: skip
    after = {
        "type": new.type, "amount": new.amount, "asset": new.asset,
        "sourceAccountID": new.source and new.source[0], "destinationAccountID": new.destination[0],
        "description": new.description, "metadata": transfers.metadata_of(new.metadata),
        "validated": new.validated, "scheduledAt": new.scheduled_at,
    }  # fmt: skip
    return [field for field, value in after.items() if before[field] != value]


def _json(metadata: dict[str, str]) -> str | None:
    return msgspec.json.encode(metadata).decode() if metadata else None


async def _nothing_due(
    work: Callable[[Connection, UUID], Awaitable[None]], key: UUID, db: Connection
) -> list[Job]:
    await work(db, key)
    return []


def _say(act: str, row: Row, **more: Any) -> None:
    """Say what was done with money, in its own words; who did it is in the line of the request."""
    said = {name: value for name, value in more.items() if value is not None}
    structlog.get_logger().info(
        "Transfer initiation changed", component="transfers", act=act, provider=row["provider"],
        installation=str(row["installation"]), reference=row["reference"], **said,
    )  # fmt: skip
