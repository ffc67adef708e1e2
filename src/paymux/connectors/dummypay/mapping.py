"""From what the provider says to records, one at a time."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeAlias, TypeVar

import msgspec

from paymux.sdk import (
    Accepted,
    Account,
    AccountType,
    Amount,
    Asset,
    Balance,
    Payment,
    PaymentScheme,
    PaymentStatus,
    PaymentType,
    SkipRecord,
    Unknown,
)

T = TypeVar("T")

# JSON, as it came.
Row: TypeAlias = bytes | msgspec.Raw

ASSETS = {code: Asset(code, n) for code, n in {"EUR": 2, "USD": 2, "GBP": 2, "JPY": 0, "KWD": 3}.items()}
OWNERS = {"own": AccountType.INTERNAL, "external": AccountType.EXTERNAL}
KINDS = {"payin": PaymentType.PAY_IN, "payout": PaymentType.PAYOUT, "transfer": PaymentType.TRANSFER}
STATUSES = {
    "pending": PaymentStatus.PENDING,
    "settled": PaymentStatus.SUCCEEDED,
    "failed": PaymentStatus.FAILED,
    "reversed": PaymentStatus.REFUNDED,
    "disputed": PaymentStatus.DISPUTE,
}
SCHEMES = {
    "sepa_credit": PaymentScheme.SEPA_CREDIT,
    "ach": PaymentScheme.ACH,
    "card_visa": PaymentScheme.VISA,
    "card_mastercard": PaymentScheme.MASTERCARD,
}


class WireAccount(msgspec.Struct):
    """An account as the provider has it."""

    id: str
    name: str
    kind: str
    currency: str
    created_at: datetime
    metadata: dict[str, str] = {}


class WireBalance(msgspec.Struct):
    """A balance as the provider has it; the amount is in minor units."""

    account: str
    currency: str
    amount: int
    at: datetime


class WirePayment(msgspec.Struct, rename={"source": "from", "destination": "to"}):
    """A payment as the provider has it; the amount is in minor units."""

    id: str
    kind: str
    status: str
    amount: int
    currency: str
    method: str
    created_at: datetime
    source: str | None = None
    destination: str | None = None
    metadata: dict[str, str] = {}


class Named(msgspec.Struct):
    """What has an id, whatever else is wrong with it."""

    id: str


class Dated(msgspec.Struct):
    """What says when it changed."""

    updated_at: datetime


def account(raw: Row) -> Account:
    """Read an account."""
    found = msgspec.json.decode(raw, type=WireAccount)
    return Account(
        reference=found.id,
        type=_known(OWNERS, found.kind, "kind"),
        name=found.name,
        default_asset=str(_known(ASSETS, found.currency, "currency")) if found.currency else "",
        created_at=found.created_at,
        metadata=found.metadata,
        raw=bytes(raw),
    )


def balance(raw: Row) -> Balance:
    """Read a balance."""
    found = msgspec.json.decode(raw, type=WireBalance)
    asset = _known(ASSETS, found.currency, "currency")
    return Balance(account=found.account, amount=Amount.from_minor(found.amount, asset), at=found.at)


def payment(raw: Row) -> Payment:
    """Read a payment, wherever it comes from: a list, the answer to an order, a look-up."""
    found = msgspec.json.decode(raw, type=WirePayment)
    return Payment(
        reference=found.id,
        type=_known(KINDS, found.kind, "kind"),
        status=_known(STATUSES, found.status, "status"),
        amount=Amount.from_minor(found.amount, _known(ASSETS, found.currency, "currency")),
        # A way to pay that is new to us is no reason to miss the payment.
        scheme=SCHEMES.get(found.method, PaymentScheme.OTHER),
        created_at=found.created_at,
        source=found.source,
        destination=found.destination,
        metadata=found.metadata,
        raw=bytes(raw),
    )


# By the kind of record, as it is set aside.
READERS: Mapping[str, Callable[[Row], Account | Balance | Payment]] = {
    "account": account,
    "balance": balance,
    "payment": payment,
}


def named(raw: Row) -> str:
    """The id of what is wrong in whatever other way. Raises ValueError."""
    return msgspec.json.decode(raw, type=Named).id


def accepted(raw: Row) -> Payment | Accepted:
    """Read the answer to an order: it was accepted, even if what it has become makes no sense to us yet.

    Raises:
        Unknown: It is not the provider's answer.
    """
    try:
        return payment(raw)
    except (SkipRecord, ValueError):
        try:
            return Accepted(handle=named(raw))
        except ValueError as error:
            raise Unknown(f"The answer is unreadable: {error}") from None


def newest(rows: Iterable[Row]) -> datetime | None:
    """When the row that changed last did; those that do not say do not count."""
    times = []
    for row in rows:
        try:
            times.append(msgspec.json.decode(row, type=Dated).updated_at)
        except ValueError:
            continue  # it is set aside by whoever maps it
    return max(times, default=None)


def _known(table: Mapping[str, T], word: str, field: str) -> T:
    try:
        return table[word]
    except KeyError:
        raise SkipRecord(f"{field}: {word!r} is new to us") from None
