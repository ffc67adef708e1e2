"""A transfer initiation: an order to move money, what can happen to it, and what follows from that.

What may happen in which status is one table. The database enforces the same table under a lock; a
test holds the two together. The status of an order is the fold of what has happened to it.
"""

from base64 import b32encode
from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import blake2b
from types import MappingProxyType
from uuid import UUID

import msgspec

from paymux.domain.errors import DomainError
from paymux.domain.payment import PaymentStatus

# Of these, 80 bits are left in the shortest: no two attempts of a deployment share one.
KEY_CHARS_MIN = 16
_UUID_CHARS = 36
_HEX_CHARS = 32


class TransferType(StrEnum):
    """Where the money goes."""

    TRANSFER = "TRANSFER"  # between our own accounts
    PAYOUT = "PAYOUT"  # to somebody else's


class TransferStatus(StrEnum):
    """Where an order stands."""

    WAITING_FOR_VALIDATION = "WAITING_FOR_VALIDATION"
    VALIDATED = "VALIDATED"
    PROCESSING = "PROCESSING"  # it may be at the provider
    UNKNOWN = "UNKNOWN"  # it may be at the provider, and the provider has not said so
    PROCESSED = "PROCESSED"
    FAILED = "FAILED"  # surely not paid
    REJECTED = "REJECTED"
    ASK_RETRIED = "ASK_RETRIED"
    ASK_REVERSED = "ASK_REVERSED"
    REVERSE_PROCESSING = "REVERSE_PROCESSING"
    REVERSE_UNKNOWN = "REVERSE_UNKNOWN"
    REVERSE_FAILED = "REVERSE_FAILED"
    PARTIALLY_REVERSED = "PARTIALLY_REVERSED"
    REVERSED = "REVERSED"


class TransferEvent(StrEnum):
    """What can happen to an order, or to the reversal that is under way."""

    APPROVE = "APPROVE"  # a person
    REJECT = "REJECT"  # a person
    SEND = "SEND"  # the provider is about to be called
    LOSE = "LOSE"  # nobody knows what became of it
    CLEAR = "CLEAR"  # it is known again: on its way, or surely not there and about to be sent again
    PROCESS = "PROCESS"  # the money has moved
    FAIL = "FAIL"  # it has not, and will not
    RETRY = "RETRY"  # a person
    REVERSE = "REVERSE"  # a person
    REVERSE_PART = "REVERSE_PART"  # some is left
    REVERSE_ALL = "REVERSE_ALL"  # nothing is left


_S, _E = TransferStatus, TransferEvent

TRANSITIONS: Mapping[tuple[TransferStatus, TransferEvent], TransferStatus] = MappingProxyType(
    {
        (_S.WAITING_FOR_VALIDATION, _E.APPROVE): _S.VALIDATED,
        (_S.WAITING_FOR_VALIDATION, _E.REJECT): _S.REJECTED,
        (_S.VALIDATED, _E.SEND): _S.PROCESSING,
        (_S.ASK_RETRIED, _E.SEND): _S.PROCESSING,
        (_S.PROCESSING, _E.LOSE): _S.UNKNOWN,
        (_S.PROCESSING, _E.PROCESS): _S.PROCESSED,
        (_S.PROCESSING, _E.FAIL): _S.FAILED,
        (_S.UNKNOWN, _E.CLEAR): _S.PROCESSING,
        (_S.UNKNOWN, _E.PROCESS): _S.PROCESSED,
        (_S.UNKNOWN, _E.FAIL): _S.FAILED,
        (_S.FAILED, _E.RETRY): _S.ASK_RETRIED,
        (_S.PROCESSED, _E.REVERSE): _S.ASK_REVERSED,
        (_S.PARTIALLY_REVERSED, _E.REVERSE): _S.ASK_REVERSED,
        (_S.REVERSE_FAILED, _E.REVERSE): _S.ASK_REVERSED,
        (_S.ASK_REVERSED, _E.SEND): _S.REVERSE_PROCESSING,
        (_S.REVERSE_PROCESSING, _E.LOSE): _S.REVERSE_UNKNOWN,
        (_S.REVERSE_PROCESSING, _E.REVERSE_PART): _S.PARTIALLY_REVERSED,
        (_S.REVERSE_PROCESSING, _E.REVERSE_ALL): _S.REVERSED,
        (_S.REVERSE_PROCESSING, _E.FAIL): _S.REVERSE_FAILED,
        (_S.REVERSE_UNKNOWN, _E.CLEAR): _S.REVERSE_PROCESSING,
        (_S.REVERSE_UNKNOWN, _E.REVERSE_PART): _S.PARTIALLY_REVERSED,
        (_S.REVERSE_UNKNOWN, _E.REVERSE_ALL): _S.REVERSED,
        (_S.REVERSE_UNKNOWN, _E.FAIL): _S.REVERSE_FAILED,
    }
)

# How an order begins: to be approved, or approved by whoever made it.
BEGINNINGS = frozenset({_S.WAITING_FOR_VALIDATION, _S.VALIDATED})
# Nobody knows whether the money has moved.
UNKNOWN = frozenset({_S.UNKNOWN, _S.REVERSE_UNKNOWN})
# The provider may have it, and its end has not been seen.
AT_THE_PROVIDER = frozenset({_S.PROCESSING, _S.REVERSE_PROCESSING, *UNKNOWN})

# The tutorial's interface has no word for not knowing.
OUTCOME_UNKNOWN = "outcome unknown, being looked up"
_SHOWN = {_S.UNKNOWN: _S.PROCESSING, _S.REVERSE_UNKNOWN: _S.REVERSE_PROCESSING}


class NotInThisStatus(DomainError):
    """An order of this status does not allow that."""

    code = "not-in-this-status"

    def __init__(self, status: TransferStatus, event: TransferEvent) -> None:
        super().__init__(f"{event} of one that is {status}.")


class Standing(msgspec.Struct, frozen=True):
    """A status and an error as the tutorial's interface shows them."""

    status: TransferStatus
    error: str


def after(status: TransferStatus, event: TransferEvent) -> TransferStatus:
    """The status that follows.

    Raises:
        NotInThisStatus: nothing follows; the event does not belong here.
    """
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise NotInThisStatus(status, event) from None


def folded(beginning: TransferStatus, events: Iterable[TransferEvent]) -> TransferStatus:
    """The status of an order to which all this has happened. Raises NotInThisStatus."""
    status = beginning
    for event in events:
        status = after(status, event)
    return status


def shown(status: str, error: str | None = None) -> Standing:
    """What clients of the tutorial's interface see."""
    known = TransferStatus(status)
    if known in _SHOWN:
        return Standing(_SHOWN[known], OUTCOME_UNKNOWN)
    return Standing(known, error or "")


class Fate(StrEnum):
    """What a payment's status says of the order that it came from."""

    MOVED = "MOVED"
    NOT_MOVED = "NOT_MOVED"
    PENDING = "PENDING"


_NOT_MOVED = {PaymentStatus.FAILED, PaymentStatus.CANCELLED, PaymentStatus.EXPIRED}
_PENDING = {PaymentStatus.PENDING, PaymentStatus.OTHER}


def fate(status: PaymentStatus) -> Fate:
    """Read a payment's status: what was refunded or disputed had moved before."""
    if status in _NOT_MOVED:
        return Fate.NOT_MOVED
    return Fate.PENDING if status in _PENDING else Fate.MOVED


def idempotency_key(installation: UUID, reference: str, attempt: int, limit: int) -> str:
    """The key of one logical attempt: the same one gets the same, and no other.

    A UUID where the provider takes so many characters, for some take nothing else; otherwise as many
    letters and digits as it takes.
    """
    if limit < KEY_CHARS_MIN:
        raise ValueError(f"a key of {limit} characters may come twice; {KEY_CHARS_MIN} are the least")
    named = installation.bytes + attempt.to_bytes(8) + reference.encode()
    digest = blake2b(named, digest_size=16, person=b"paymux attempt").digest()
    if limit >= _UUID_CHARS:
        return str(UUID(bytes=digest, version=5))
    if limit >= _HEX_CHARS:
        return digest.hex()
    return b32encode(digest).decode().lower().rstrip("=")[:limit]
