"""Payloads of events, one struct a type: what consumers read, in the spelling of the tutorial's service.

That spelling is not of one piece (``connectorId`` beside ``connectorID`` and ``accountID``), and stays:
consumers have been written for it. Amounts are whole minor units, integers of any size.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType, field

Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Payload(msgspec.Struct, frozen=True, rename="camel"):
    """What an event says. A struct below holds all that is sent: nothing beside its fields is."""


class SavedPayment(Payload, frozen=True):
    """A payment is new, its latest report says something new, or somebody has set metadata; as it is then."""

    id: str
    reference: str
    created_at: Time
    connector_id: str
    provider: str
    type: str
    status: str
    scheme: str
    asset: str
    initial_amount: int
    amount: int
    links: None
    metadata: dict[str, str] | None
    # The provider's own form.
    raw_data: Any
    source_account_id: str | UnsetType = UNSET
    destination_account_id: str | UnsetType = UNSET


class SavedAccount(Payload, frozen=True):
    """An account was described, or described differently. Texts are empty where there is none."""

    id: str
    reference: str
    created_at: Time
    connector_id: str
    provider: str
    type: str
    account_name: str
    default_asset: str


class SavedBalance(Payload, frozen=True):
    """An account holds a different amount, since ``createdAt``."""

    account_id: str = field(name="accountID")
    connector_id: str
    provider: str
    created_at: Time
    asset: str
    balance: int


class RelatedAccount(msgspec.Struct, frozen=True, rename="camel"):
    """Where a bank account is known to a provider as an account."""

    id: UUID
    created_at: Time
    account_id: str = field(name="accountID")
    connector_id: str = field(name="connectorID")
    provider: str


class SavedBankAccount(Payload, frozen=True):
    """A bank account was made, changed or forwarded. Numbers are obfuscated, empty where there is none."""

    id: UUID
    created_at: Time
    name: str
    account_number: str
    iban: str
    swift_bic_code: str
    country: str
    metadata: dict[str, str] | None
    # The tutorial's name for the accounts that providers have made of it.
    adjustments: list[RelatedAccount]


class RelatedPayment(msgspec.Struct, frozen=True, rename="camel"):
    """A payment that came of a transfer initiation."""

    transfer_initiation_id: str
    payment_id: str
    created_at: Time
    status: str
    error: str


class SavedTransferInitiation(Payload, frozen=True):
    """A transfer initiation was made, or its status has changed. ``error`` is empty where there is none."""

    id: str
    created_at: Time
    scheduled_at: Time
    connector_id: str
    provider: str
    description: str
    type: str
    source_account_id: str
    destination_account_id: str
    amount: int
    asset: str
    attempts: int
    status: str
    error: str
    related_payments: list[RelatedPayment]


class DeletedTransferInitiation(Payload, frozen=True):
    """A transfer initiation was deleted, at ``createdAt``."""

    id: str
    created_at: Time


class SavedPool(Payload, frozen=True):
    """A pool was made, or its accounts have changed."""

    id: UUID
    name: str
    created_at: Time
    # Null where there are so many that no broker would take them: ask for the pool.
    account_ids: list[str] | None = field(name="accountIDs")


class DeletedPool(Payload, frozen=True):
    """A pool was deleted, at ``createdAt``."""

    id: UUID
    created_at: Time


class ConnectorInstalled(Payload, frozen=True):
    """A connector was installed, at ``createdAt``."""

    created_at: Time
    connector_id: str
    provider: str


class ConnectorUninstalled(Payload, frozen=True):
    """An installation was removed, at ``createdAt``."""

    created_at: Time
    connector_id: str
    provider: str


class ConnectorReset(Payload, frozen=True):
    """All that was told of an installation before ``createdAt`` is void."""

    created_at: Time
    connector_id: str
    provider: str


class TaskFailed(Payload, frozen=True):
    """A task that was well has failed."""

    id: UUID
    connector_id: str
    provider: str
    # What it does, as its connector's author wrote it.
    descriptor: Any
    # What the operator reads.
    error: str


class TaskRecovered(Payload, frozen=True):
    """A task that had failed is well again."""

    id: UUID
    connector_id: str
    provider: str
    descriptor: Any
    error: None
