"""From records to rows: pure, one record at a time, so that a bad one costs only itself.

A row carries a hash of what the record says. The raw form is not part of it: a provider that stamps
its answers anew with every poll has not said anything new about the payment.
"""

from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec

from paymux.domain.account import Account, AccountType
from paymux.domain.aside import SetAside
from paymux.domain.balance import Balance
from paymux.domain.ids import row_digest
from paymux.domain.money import Amount, Asset
from paymux.domain.payment import Payment, PaymentScheme, PaymentStatus, PaymentType
from paymux.domain.times import NO_TIME
from paymux.storage.database import Key

# All in bytes. References come back in identifiers, and those in URLs.
REFERENCE_MAX = 2000
# Names and other short text; longer is not a name but a mapping gone wrong.
TEXT_MAX = 10_000
# All keys and values of one record together. What is longer belongs in its raw form.
METADATA_MAX = 1_000_000
# One record's raw form. A record beyond this is a page, or a file of another kind.
RAW_MAX = 4 * 1024 * 1024
# What is shown of a record that is set aside for its size.
RAW_KEPT = 10_000

# Reports that have no time of their own are told apart by microseconds, and need a few after the last.
LAST_SECOND: Final = datetime.max.replace(tzinfo=UTC, microsecond=0)

Row: TypeAlias = tuple[Any, ...]
# Rows the other way round, all columns equally long; empty for no rows.
Columns: TypeAlias = tuple[tuple[Any, ...], ...]
# Sorted: a provider that shuffles its keys has said nothing new. The hook takes subclasses of text as text.
encode = msgspec.json.Encoder(order="sorted", enc_hook=str.__str__).encode


class Unusable(Exception):
    """The record cannot be stored as it is; the message names the field."""


def digest(content: bytes) -> Key:
    """A 16-byte hash, as the database stores it."""
    return Key(blake2b(content, digest_size=16).digest())


def account_row(installation: UUID, record: Account) -> Row:
    """Columns of ``account_page``, in its order.

    Raises:
        Unusable: the record breaks a rule; the message names the field.
    """
    _expect(record, Account)
    reference = _reference(record.reference, "reference")
    kind = _member(record.type, AccountType, "type")
    name = _text(record.name, "name", TEXT_MAX)
    asset = _text(record.default_asset, "default_asset", TEXT_MAX)
    asset = asset and str(Asset.parse(asset))
    created = _instant(record.created_at, "created_at")
    metadata = metadata_text(record.metadata)
    hashed = digest(encode((reference, kind, name, asset, created, metadata)))
    return (
        _key(installation, "account", reference), reference, kind, name, asset, created, metadata,
        raw_text(record.raw), hashed,
    )  # fmt: skip


def balance_row(installation: UUID, record: Balance) -> Row:
    """Columns of ``balance_page`` but its rounds. Raises Unusable."""
    _expect(record, Balance)
    account = _reference(record.account, "account")
    amount = _amount(record.amount, "amount")
    return (
        _key(installation, "account", account), account, str(amount.asset), str(amount.minor),
        _instant(record.at, "at"),
    )  # fmt: skip


def payment_row(installation: UUID, record: Payment) -> Row:
    """Columns of ``payment_page``, in its order, but for what ``whole`` makes of them. Raises Unusable.

    Most rows are of payments that have not changed: what telling that takes is done here, and no more.
    """
    _expect(record, Payment)
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
    source = None if record.source is None else _reference(record.source, "source")
    destination = None if record.destination is None else _reference(record.destination, "destination")
    named = None if record.report is None else _reference(record.report, "report")
    created = _instant(record.created_at, "created_at")
    reported = _instant(record.reported_at, "reported_at")
    metadata = metadata_text(record.metadata)
    content = encode(
        (reference, kind, status, scheme, asset, minor, first, source, destination, created, metadata,
         named, reported)
    )  # fmt: skip
    hashed = digest(content)
    report = None
    if named is not None:
        report = digest(b"named" + named.encode())
    elif reported is not None:
        report = hashed
    return (
        _key(installation, "payment", reference), reference, kind, status, scheme, asset, minor,
        None if first == minor else first, source, destination, created, metadata, _raw(record.raw), hashed,
        report, named, reported, None, None,
    )  # fmt: skip


def whole(installation: UUID, payments: Columns) -> Columns:
    """Columns of ``payment_page``, of one page: accounts by their keys, raw forms compact, accounts named."""
    if not payments:
        return ()
    *before, sources, destinations, created, metadata, raws = payments[:13]
    named = {text: _account_key(installation, text) for text in {*sources, *destinations} if text is not None}
    return (
        *before, tuple(map(named.get, sources)), tuple(map(named.get, destinations)), created, metadata,
        tuple(map(raw_text, raws)), *payments[13:], tuple(named.values()), tuple(named), (), (),
    )  # fmt: skip


@lru_cache(10_000)
def _account_key(installation: UUID, reference: str) -> Key:
    """One account stands in many payments."""
    return _key(installation, "account", reference)


def _key(installation: UUID, kind: str, reference: str) -> Key:
    return Key(row_digest(installation, kind, reference))


def aside_row(record: SetAside) -> Row:
    """Columns of ``aside_page``; always possible."""
    kind, reason = storable(record.kind), storable(record.reason)[:TEXT_MAX]
    raw = record.raw if record.raw is None else storable(record.raw)
    if raw is not None and len(raw) > RAW_MAX:
        raw = raw[:RAW_KEPT]
    return digest(encode((kind, reason, raw))), kind, reason, raw


def storable(value: object) -> str:
    """Text that PostgreSQL can hold: what it cannot is escaped; what is no text becomes JSON, or its repr."""
    if isinstance(value, (bytes, bytearray, memoryview)):  # a union takes longer
        text = str(value, "utf-8", "backslashreplace")
    else:
        text = value if isinstance(value, str) else _described(value)
        if not text.isascii():
            text = text.encode("utf-8", "backslashreplace").decode()
    return text.replace("\0", "\\u0000") if "\0" in text else text


def raw_text(raw: Any) -> str | None:
    """A record's raw form: compact when it is JSON, digits and order of keys kept.

    Raises:
        Unusable: it is larger than RAW_MAX, or neither text nor bytes.
    """
    if _raw(raw) is None:
        return None
    try:
        return storable(msgspec.json.format(raw, indent=-1))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return storable(raw)


def _raw(raw: Any) -> str | bytes | None:
    if raw is None or (isinstance(raw, (str, bytes)) and len(raw) <= RAW_MAX):  # a union takes longer
        return raw
    if isinstance(raw, str | bytes):
        raise Unusable(f"raw: larger than {RAW_MAX} bytes")
    raise Unusable(f"raw: must be text or bytes, got {type(raw).__name__}")


def _described(value: object) -> str:
    for describe in (_json, repr):
        try:
            return describe(value)
        except Exception:  # noqa: BLE001, S112 - a stranger's object may raise anything; the next way is plainer
            continue
    return f"<{type(value).__name__}>"


def _json(value: object) -> str:
    return msgspec.json.encode(value, enc_hook=repr).decode()


def _expect(record: object, kind: type) -> None:
    if not isinstance(record, kind):
        raise Unusable(f"must be a record of class {kind.__name__}, got {type(record).__name__}")


def _reference(value: Any, field: str) -> str:
    if type(value) is str and 0 < len(value) <= REFERENCE_MAX and value.isascii() and "\0" not in value:
        return value  # nearly always, and then in a fifth of the time
    if value == "":
        raise Unusable(f"{field}: must not be empty")
    return _text(value, field, REFERENCE_MAX)


def _text(value: Any, field: str, limit: int) -> str:
    if not isinstance(value, str):
        raise Unusable(f"{field}: must be text, got {type(value).__name__}")
    if "\0" in value:
        raise Unusable(f"{field}: holds a NUL character, which no database text can")
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        raise Unusable(f"{field}: holds half of a surrogate pair, which is no text") from None
    if size > limit:
        raise Unusable(f"{field}: longer than {limit} bytes")
    return value


def _member(value: Any, kind: Any, field: str) -> Any:
    if type(value) is kind:
        return value
    try:
        return kind(value)
    except ValueError:
        raise Unusable(f"{field}: {storable(value)[:100]!r} is none of {', '.join(kind)}") from None


def _amount(value: Any, field: str) -> Amount:
    if not isinstance(value, Amount):
        raise Unusable(f"{field}: must be an Amount, such as Amount(100, Asset.parse('EUR/2'))")
    return value


def _instant(value: Any, field: str) -> datetime | None:
    if value is None:
        return None
    if type(value) is datetime and value.tzinfo is UTC and NO_TIME < value <= LAST_SECOND:
        return value  # nearly always, and then in half of the time
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise Unusable(f"{field}: must be a time with its zone, got {storable(value)[:100]!r}")
    if type(value) is not datetime or value.tzinfo is not UTC:
        try:
            utc = value.astimezone(UTC)
        except OverflowError:
            raise Unusable(f"{field}: in UTC outside the years 1 to 9999") from None
        value = datetime.combine(utc.date(), utc.time(), UTC)  # of the exact class, whatever it was before
    if value > LAST_SECOND:
        return LAST_SECOND
    # The driver would take it for minus infinity.
    return None if value == NO_TIME else value


def metadata_text(value: Any) -> str | None:
    """As JSON, in one form whatever its order. Raises Unusable."""
    if value is None or value == {}:
        return None
    if not isinstance(value, dict) or not all(
        isinstance(key, str) and isinstance(text, str) for key, text in value.items()
    ):
        raise Unusable("metadata: must be text by text")
    _text("".join((*value, *value.values())), "metadata", METADATA_MAX)
    return encode(value).decode()
