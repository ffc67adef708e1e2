"""From records to rows: pure, one record at a time, so that a bad one costs only itself.

A row carries a hash of what the record says. The raw form is not part of it: a provider that stamps
its answers anew with every poll has not said anything new about the payment.
"""

from collections.abc import Callable
from datetime import datetime
from hashlib import blake2b
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from paymux.domain.account import Account, AccountType
from paymux.domain.aside import SetAside
from paymux.domain.balance import Balance
from paymux.domain.ids import row_key
from paymux.domain.money import Amount, Asset
from paymux.domain.payment import Payment, PaymentScheme, PaymentStatus, PaymentType

# References come back in identifiers, and those in URLs.
REFERENCE_MAX = 2000
# Names and other short text; longer is not a name but a mapping gone wrong.
TEXT_MAX = 10_000
# One record's raw form. A record beyond this is a page, or a file of another kind.
RAW_MAX = 4 * 1024 * 1024
# What is shown of a record that is set aside for its size.
RAW_KEPT = 10_000

Row: TypeAlias = tuple[Any, ...]
_encode = msgspec.json.Encoder().encode
# Decoded by exact type: a mapper may hand over text where an enumeration belongs.
_converted: Callable[..., Any] = msgspec.convert


class Unusable(Exception):  # noqa: N818 - not an error of the program but a finding about a record
    """The record cannot be stored as it is; the message names the field."""


def digest(content: bytes) -> UUID:
    """A 16-byte hash, as the database stores it."""
    return msgspec.convert(blake2b(content, digest_size=16).digest(), UUID)


def account_row(installation: UUID, record: Account) -> Row:
    """Columns of ``account_page``, in its order.

    Raises:
        Unusable: the record breaks a rule; the message names the field.
    """
    kind = _member(record.type, AccountType, "type")
    reference = _reference(record.reference, "reference")
    created = _instant(record.created_at, "created_at")
    if record.default_asset:
        Asset.parse(record.default_asset)
    metadata = _metadata(record.metadata)
    for text, field in ((record.name, "name"), (record.default_asset, "default_asset")):
        if len(text) > TEXT_MAX:
            raise Unusable(f"{field}: longer than {TEXT_MAX} characters")
    content = _encode((kind, record.name, record.default_asset, created, record.metadata))
    _no_nul(content, record)
    return (
        row_key(installation, "account", reference), reference, kind, record.name, record.default_asset,
        created, metadata, raw_text(record.raw), digest(content),
    )  # fmt: skip


def balance_row(installation: UUID, record: Balance) -> Row:
    """Columns of ``balance_page`` but its rounds. Raises Unusable."""
    account = _reference(record.account, "account")
    _no_nul(_encode(account), record)
    amount = _amount(record.amount, "amount")
    return (
        row_key(installation, "account", account), account, str(amount.asset), str(amount.minor),
        _instant(record.at, "at"),
    )  # fmt: skip


def payment_row(installation: UUID, record: Payment) -> Row:
    """Columns of ``payment_page`` up to ``reported``. Raises Unusable."""
    reference = _reference(record.reference, "reference")
    kind = _member(record.type, PaymentType, "type")
    status = _member(record.status, PaymentStatus, "status")
    scheme = _member(record.scheme, PaymentScheme, "scheme")
    amount = _amount(record.amount, "amount")
    asset, minor = str(amount.asset), str(amount.minor)
    first = minor
    if record.initial_amount is not None:
        initial = _amount(record.initial_amount, "initial_amount")
        if initial.asset != amount.asset:
            raise Unusable(f"initial_amount: in {initial.asset}, while amount is in {asset}")
        first = str(initial.minor)
    source, destination = record.source, record.destination
    if source is not None:
        source = _reference(source, "source")
    if destination is not None:
        destination = _reference(destination, "destination")
    created = _instant(record.created_at, "created_at")
    reported = _instant(record.reported_at, "reported_at")
    content = _encode(
        (reference, kind, status, scheme, asset, minor, first, source, destination, created, record.metadata,
         record.report, reported)
    )  # fmt: skip
    _no_nul(content, record)
    hashed = digest(content)
    report = None
    if record.report is not None:
        report = digest(b"named" + record.report.encode())
    elif reported is not None:
        report = hashed
    return (
        row_key(installation, "payment", reference), reference, kind, status, scheme, asset, minor, first,
        source and row_key(installation, "account", source), source,
        destination and row_key(installation, "account", destination), destination,
        created, _metadata(record.metadata), raw_text(record.raw), hashed, report, record.report, reported,
    )  # fmt: skip


def aside_row(record: SetAside) -> Row:
    """Columns of ``aside_page``; always possible."""
    raw = record.raw
    if raw is not None and len(raw) > RAW_KEPT:
        raw = raw[:RAW_KEPT]
    text = storable(raw) if raw is not None else None
    reason = storable(record.reason)[:TEXT_MAX]
    return digest(_encode((record.kind, reason, text))), storable(record.kind), reason, text


def storable(text: str | bytes) -> str:
    """Text that PostgreSQL can hold: what it cannot is shown escaped."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\u0000")


def raw_text(raw: str | bytes | None) -> str | None:
    """A record's raw form as text. Raises Unusable when it is beyond RAW_MAX."""
    if raw is None:
        return None
    if len(raw) > RAW_MAX:
        raise Unusable(f"raw: larger than {RAW_MAX} bytes")
    return storable(raw)


def _reference(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value:
        raise Unusable(f"{field}: must be text that is not empty")
    if len(value) > REFERENCE_MAX:
        raise Unusable(f"{field}: longer than {REFERENCE_MAX} characters")
    return value


def _member(value: Any, kind: Any, field: str) -> Any:
    if type(value) is kind:
        return value
    try:
        return kind(value)
    except ValueError:
        raise Unusable(f"{field}: {str(value)[:100]!r} is none of {', '.join(kind)}") from None


def _amount(value: Any, field: str) -> Amount:
    if not isinstance(value, Amount):
        raise Unusable(f"{field}: must be an Amount, such as Amount(100, Asset.parse('EUR/2'))")
    return value


def _instant(value: Any, field: str) -> datetime | None:
    if value is None or (isinstance(value, datetime) and value.tzinfo is not None):
        return value
    raise Unusable(f"{field}: must be a time with its zone, got {str(value)[:100]!r}")


def _metadata(value: Any) -> str | None:
    if not value:
        return None
    if not isinstance(value, dict) or not all(
        isinstance(key, str) and isinstance(text, str) for key, text in value.items()
    ):
        raise Unusable("metadata: must be text by text")
    return _encode(value).decode()


def _no_nul(content: bytes, record: msgspec.Struct) -> None:
    # JSON writes a NUL as \u0000; so does text that spells it out, hence the second, slow look.
    if b"\\u0000" not in content:
        return
    for field in record.__struct_fields__:
        value = getattr(record, field)
        texts = [*value.keys(), *value.values()] if isinstance(value, dict) else [value]
        if field != "raw" and any(isinstance(text, str) and "\0" in text for text in texts):
            raise Unusable(f"{field}: holds a NUL character, which no text here can hold")
