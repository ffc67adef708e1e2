r"""Identifiers: what clients hold on to, and what rows are filed under.

Outside, an identifier is unpadded base64url of canonical JSON, in the form that clients of the
tutorial's service hold already. Inside, a row's key is 16 bytes, for long text keys are slow to
index; the long form is computed from the row where it leaves the house.

Canonical JSON here is not RFC 8785: keys are sorted by code point, nothing is escaped that need
not be, control characters are upper-case hex (``\u001F``), numbers that are whole have neither
point nor exponent, and others are written as ``1.5E0``. An integer is never rounded. (The
tutorial's service reads every number as a 64-bit float first; no identifier holds a number.)
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from math import isfinite
from typing import Any, Self, TypeVar
from uuid import UUID, uuid5

import msgspec

from paymux.domain.errors import InvalidId, InvalidJson, InvalidText

# A URL of more than 8 KB is refused by most proxies, so an identifier beyond it could not be used.
ID_CHARS_MAX = 8192
# Both far beyond what one deployment has, and small in memory.
CONNECTORS_CACHED = 1024
WORDS_CACHED = 256

_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_ESCAPES = {chr(code): f"\\u{code:04X}" for code in range(0x20)} | {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
_CONSTANTS = {None: "null", True: "true", False: "false"}
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = str.maketrans("-_", "+/")

Parts = TypeVar("Parts")


class ConnectorID(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True, cache_hash=True):
    """An installation of a connector: the provider it speaks to, and which of its installations."""

    provider: str
    reference: UUID

    def encode(self) -> str:
        """Return the identifier as clients know it."""
        return _base64url(_connector_json(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``encode`` returns, padded or not.

        Raises:
            InvalidId: The text is no connector's identifier, or is longer than ``ID_CHARS_MAX``.
        """
        return _parts(text, cls, "a connector")


class AccountParts(
    msgspec.Struct,
    frozen=True,
    rename={"connector": "ConnectorID", "reference": "Reference"},
    forbid_unknown_fields=True,
):
    """What an account's identifier says; a reversal's says the same."""

    connector: ConnectorID
    reference: str


class TransferParts(AccountParts, frozen=True):
    """What a transfer initiation's identifier says."""


class PaymentParts(
    msgspec.Struct,
    frozen=True,
    rename={"connector": "ConnectorID", "reference": "Reference", "type": "Type"},
    forbid_unknown_fields=True,
):
    """What a payment's identifier says; its type is the one that was seen first."""

    connector: ConnectorID
    reference: str
    type: str


def account_id(connector: ConnectorID, reference: str) -> str:
    """Return the identifier of an account, a transfer initiation or a reversal.

    Where there is no reference there is no account: the identifier is empty, as clients expect.
    """
    if not reference:
        return ""
    return _base64url(f'{{"ConnectorID":{_connector_json(connector)},"Reference":{_text(reference)}}}')


def payment_id(connector: ConnectorID, reference: str, payment_type: str) -> str:
    """Return the identifier of a payment."""
    return _base64url(_payment_json(connector, reference, payment_type))


def payment_adjustment_id(payment: PaymentParts, reference: str, created_at: str, status: str) -> str:
    """Return the identifier of a report about a payment.

    Args:
        payment: The payment that the report is about.
        reference: The provider's name for the report.
        created_at: RFC 3339 as text, for such identifiers may hold nanoseconds, which a datetime cannot.
        status: The payment's status by this report.
    """
    payment_json = _payment_json(payment.connector, payment.reference, payment.type)
    return _base64url(
        f'{{"CreatedAt":{_text(created_at)},"PaymentID":{payment_json},'
        f'"Reference":{_text(reference)},"Status":{_text(status)}}}'
    )


def parse_account_id(text: str) -> AccountParts:
    """Read an account's identifier, padded or not.

    Raises:
        InvalidId: The text is of another kind, or is longer than ``ID_CHARS_MAX``.
    """
    return _parts(text, AccountParts, "an account")


def parse_transfer_id(text: str) -> TransferParts:
    """Read a transfer initiation's identifier, padded or not.

    Raises:
        InvalidId: The text is of another kind, or is longer than ``ID_CHARS_MAX``.
    """
    return _parts(text, TransferParts, "a transfer initiation")


def parse_payment_id(text: str) -> PaymentParts:
    """Read a payment's identifier, padded or not.

    Raises:
        InvalidId: The text is of another kind, or is longer than ``ID_CHARS_MAX``.
    """
    return _parts(text, PaymentParts, "a payment")


def parse_uuid(text: str, owner: str) -> UUID:
    """Read the id of what is known by a UUID; ``owner`` is what that is, as in "a pool".

    Raises:
        InvalidId: The text is none.
    """
    try:
        return UUID(text)
    except ValueError:
        raise InvalidId(text, f"the id of {owner} is a UUID") from None


def row_key(installation: UUID, kind: str, reference: str) -> UUID:
    """Return the key of the row that holds an installation's record of this kind and reference.

    It is a hash, not a UUID of any RFC 9562 version. NUL is allowed: such a key finds no row.

    Raises:
        InvalidText: The reference holds half of a surrogate pair.
    """
    return UUID(bytes=row_digest(installation, kind, reference))


def row_digest(installation: UUID, kind: str, reference: str) -> bytes:
    """Return the 16 bytes of ``row_key``. Raises InvalidText."""
    try:
        named = reference.encode()
    except UnicodeEncodeError as error:
        raise InvalidText(reference) from error
    return blake2b(key_prefix(installation, kind) + named, digest_size=16).digest()


@lru_cache(1024)
def key_prefix(installation: UUID, kind: str) -> bytes:
    """What ``row_digest`` hashes before the reference."""
    return installation.bytes + _length_prefixed(kind)


def task_id(installation: UUID, descriptor: str) -> UUID:
    """Return the id of the task with this descriptor, which is canonical JSON."""
    return uuid5(installation, descriptor)


def canonical_json(value: object) -> str:
    """Write null, booleans, numbers, text, lists, tuples and objects in the one form each has.

    An integer of any size keeps every digit, and a float that is whole is written like one.

    Raises:
        InvalidJson: Something else is in the value, such as NaN, a key that is not text, or a date.
        InvalidText: A text holds half of a surrogate pair.
    """
    written = _json(value)
    _utf8(written)
    return written


def _json(value: Any) -> str:
    match value:
        case list() | tuple():
            return f"[{','.join(map(_json, value))}]"
        case dict() if all(isinstance(key, str) for key in value):
            return f"{{{','.join(f'{_text(key)}:{_json(value[key])}' for key in sorted(value))}}}"
    return _scalar(value)


def _scalar(value: Any) -> str:
    match value:
        case None | bool():  # before int, which a bool is too
            return _CONSTANTS[value]
        case str():
            return _text(value)
        case int():
            return int.__repr__(value)
        case float() if isfinite(value):
            return _float(value)
    raise InvalidJson(value)


def _float(value: float) -> str:
    # repr gives the fewest digits that read back as the same float; Decimal takes them apart exactly.
    shortest = Decimal(float.__repr__(value))
    if value.is_integer():
        return str(int(shortest))
    sign, digits, exponent = shortest.as_tuple()
    first, *rest = map(str, digits)
    return f"{'-' * sign}{first}.{''.join(rest) or '0'}E{int(exponent) + len(rest)}"


def _text(text: str) -> str:
    # Joined with +, for an f-string would write a member of a text enumeration by its name.
    return '"' + _ESCAPED.sub(lambda found: _ESCAPES[found[0]], text) + '"'


@lru_cache(WORDS_CACHED)
def _word(text: str) -> str:
    return _text(text)


@lru_cache(CONNECTORS_CACHED)
def _connector_json(connector: ConnectorID) -> str:
    return f'{{"Provider":{_text(connector.provider)},"Reference":"{connector.reference}"}}'


def _payment_json(connector: ConnectorID, reference: str, payment_type: str) -> str:
    return (
        f'{{"ConnectorID":{_connector_json(connector)},'
        f'"Reference":{_text(reference)},"Type":{_word(payment_type)}}}'
    )


@lru_cache(WORDS_CACHED)
def _length_prefixed(kind: str) -> bytes:
    return len(kind.encode()).to_bytes(4) + kind.encode()


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidText(text[error.start : error.end]) from error


def _base64url(text: str) -> str:
    return b2a_base64(_utf8(text), newline=False).translate(_TO_URL, b"=").decode()


def _parts(text: str, shape: type[Parts], owner: str) -> Parts:
    if len(text) > ID_CHARS_MAX:
        raise InvalidId(text, f"it has {len(text)} characters and the limit is {ID_CHARS_MAX}")
    # Checked first, for the decoder skips what is not of its alphabet.
    if not _BASE64URL.fullmatch(text):
        raise InvalidId(text, "it is not base64url")
    bare = text.rstrip("=").translate(_FROM_URL)
    padded = bare + "=" * (-len(bare) % 4)
    if text.endswith("=") and len(text) != len(padded):
        raise InvalidId(text, "its padding does not fit its length")
    try:
        return msgspec.json.decode(a2b_base64(padded), type=shape)
    except (Base64Error, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise InvalidId(text, f"it is not that of {owner}") from error
