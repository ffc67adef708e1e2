"""Events: what happened, in the words that downstream systems know.

Each has an idempotency key that follows from what changed, so that one told twice is known to be the
same.
"""

from enum import StrEnum
from typing import Any, Generic, Self, TypeVar
from uuid import UUID, uuid5

import msgspec

from paymux.domain.ids import ConnectorID, account_id, payment_id
from paymux.events import payloads
from paymux.events.payloads import Payload, SavedPayment, Time
from paymux.events.transfers import transfer

TOPIC = "payments"
APP = "payments"
VERSION = "v1"

# Keys are made in a space of their own, so they meet no other uuid.
_SPACE = UUID("6f1c5d0e-5b64-4a3e-9d0c-70616d757831")

P_co = TypeVar("P_co", covariant=True)


class EventType(StrEnum):
    """What can happen, and what is said about it then."""

    SAVED_PAYMENT = "SAVED_PAYMENT", payloads.SavedPayment
    SAVED_ACCOUNT = "SAVED_ACCOUNT", payloads.SavedAccount
    SAVED_BALANCE = "SAVED_BALANCE", payloads.SavedBalance
    SAVED_BANK_ACCOUNT = "SAVED_BANK_ACCOUNT", payloads.SavedBankAccount
    SAVED_TRANSFER_INITIATION = "SAVED_TRANSFER_INITIATION", payloads.SavedTransferInitiation
    DELETED_TRANSFER_INITIATION = "DELETED_TRANSFER_INITIATION", payloads.DeletedTransferInitiation
    SAVED_POOL = "SAVED_POOL", payloads.SavedPool
    DELETED_POOL = "DELETED_POOL", payloads.DeletedPool
    CONNECTOR_INSTALLED = "CONNECTOR_INSTALLED", payloads.ConnectorInstalled
    CONNECTOR_UNINSTALLED = "CONNECTOR_UNINSTALLED", payloads.ConnectorUninstalled
    CONNECTOR_RESET = "CONNECTOR_RESET", payloads.ConnectorReset
    TASK_FAILED = "TASK_FAILED", payloads.TaskFailed
    TASK_RECOVERED = "TASK_RECOVERED", payloads.TaskRecovered

    payload: type[Payload]

    def __new__(cls, value: str, payload: type[Payload] = Payload) -> Self:
        """Keep the payload's struct beside the name."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.payload = payload
        return member


_TRANSFERS = {EventType.SAVED_TRANSFER_INITIATION, EventType.DELETED_TRANSFER_INITIATION}


class Event(msgspec.Struct, Generic[P_co], frozen=True, rename="camel"):
    """The envelope."""

    idempotency_key: UUID
    date: Time
    app: str
    version: str
    type: str
    payload: P_co


def from_row(row: Any) -> Event[Any]:
    """Build an event from its outbox row and what that points at."""
    connector = ConnectorID(row["provider"], row["installation"]) if row["installation"] else None
    if row["type"] == EventType.SAVED_PAYMENT and row["reference"] is not None and connector:
        payload: Any = _payment(row, connector)
    elif row["type"] in _TRANSFERS and row["facts"] and connector:
        payload = transfer(EventType(row["type"]).payload, row["facts"], connector)
    else:
        payload = _told(row, connector)
    name = f"{row['type']}:{row['object']}:{row['part']}"
    if row["resets"] and row["type"].startswith("SAVED"):
        # After a reset the same is told again, to those who have dropped it: another event.
        name = f"{name}:{row['resets']}"
    return Event(uuid5(_SPACE, name), row["created_at"], APP, VERSION, row["type"], payload)


def _payment(row: Any, connector: ConnectorID) -> SavedPayment:
    source, destination = (
        msgspec.UNSET if row[end] is None else account_id(connector, row[end])
        for end in ("source", "destination")
    )
    return SavedPayment(
        id=payment_id(connector, row["reference"], row["first_type"]),
        reference=row["reference"],
        created_at=row["payment_created_at"],
        connector_id=connector.encode(),
        provider=connector.provider,
        type=row["payment_type"],
        status=row["status"],
        scheme=row["scheme"],
        asset=row["asset"],
        initial_amount=row["initial_amount"],
        amount=row["amount"],
        links=None,
        metadata=as_json(row["metadata"]),
        raw_data=as_json(row["raw"]),
        source_account_id=source,
        destination_account_id=destination,
    )


def _told(row: Any, connector: ConnectorID | None) -> Any:
    """What the row says itself, and beside that what follows from it: object, time, installation."""
    facts = msgspec.json.decode(row["facts"], type=dict[str, Any]) if row["facts"] else {}
    said: dict[str, Any] = {"id": str(row["object"]), "createdAt": row["created_at"], **facts}
    if connector is not None:
        said |= {"connectorId": connector.encode(), "provider": connector.provider}
        if row["account"] is not None:
            key = "id" if row["type"] == EventType.SAVED_ACCOUNT else "accountID"
            said[key] = account_id(connector, row["account"])
    try:
        return msgspec.convert(said, EventType(row["type"]).payload)
    except (ValueError, msgspec.ValidationError):
        # What it points at is gone, or a newer version wrote it. It must not stop what comes after it.
        return facts


def as_json(text: str | None) -> Any:
    """Stored JSON as it is, without reading it twice; what is no JSON as the text it is."""
    if text is None:
        return None
    try:
        # Not into values: a number may be beyond what those can hold, and need not be.
        return msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return text
