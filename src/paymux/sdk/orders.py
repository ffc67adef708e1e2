"""Orders to move money, as a connector gets them, and what it may answer.

Every order carries the idempotency key of its attempt, stored before the provider is called: the same
attempt always comes with the same key. A connector that moves money can look up what became of it.
"""

from datetime import datetime

import msgspec

from paymux.domain.money import Amount
from paymux.domain.payment import Payment
from paymux.domain.transfer import TransferType


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Move so much from one account to another; both are the provider's own references."""

    reference: str
    attempt: int
    idempotency_key: str
    type: TransferType
    amount: Amount
    source: str | None
    destination: str
    description: str = ""
    metadata: dict[str, str] = {}
    created_at: datetime


class Reversal(msgspec.Struct, frozen=True, kw_only=True):
    """Take so much of a payment back; ``payment`` is the provider's reference of it."""

    reference: str
    attempt: int
    idempotency_key: str
    amount: Amount
    payment: str
    order: Order
    description: str = ""
    metadata: dict[str, str] = {}


class BankAccountToCreate(msgspec.Struct, frozen=True, kw_only=True):
    """Make a bank account known to the provider; its numbers are in clear here and nowhere else."""

    name: str
    country: str
    iban: str = ""
    account_number: str = ""
    bic: str = ""
    metadata: dict[str, str] = {}
    idempotency_key: str

    def __repr__(self) -> str:
        # Whoever logs it has not meant to log its numbers.
        return f"BankAccountToCreate(country={self.country!r}, idempotency_key={self.idempotency_key!r}, …)"


class Accepted(msgspec.Struct, frozen=True):
    """The provider has taken the order; ``look_up`` follows it to its end."""

    payment: Payment | None = None
    handle: str | None = None


class NotThere(msgspec.Struct, frozen=True):
    """The provider knows of no such order."""
