"""Events: what happened, in the words that downstream systems know.

Each has an idempotency key that follows from what changed, so that one told twice is known to be the
same. Payloads keep the spelling of the tutorial's service (``connectorId``).
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

import msgspec

from paymux.domain.ids import ConnectorID, account_id, payment_id
from paymux.domain.times import parse_rfc3339, rfc3339

TOPIC = "payments"
APP = "payments"
VERSION = "v1"

# Keys are made in a space of their own, so they meet no other uuid.
_SPACE = UUID("6f1c5d0e-5b64-4a3e-9d0c-70616d757831")


class EventType(StrEnum):
    """What can happen."""

    SAVED_PAYMENT = "SAVED_PAYMENT"  # a payment is new, or its latest report says something new
    SAVED_ACCOUNT = "SAVED_ACCOUNT"  # an account was described, or described differently
    SAVED_BALANCE = "SAVED_BALANCE"  # an account holds a different amount
    CONNECTOR_INSTALLED = "CONNECTOR_INSTALLED"
    CONNECTOR_UNINSTALLED = "CONNECTOR_UNINSTALLED"
    CONNECTOR_RESET = "CONNECTOR_RESET"  # all that was told of it before is void
    TASK_FAILED = "TASK_FAILED"  # told once, when it starts to fail
    TASK_RECOVERED = "TASK_RECOVERED"  # told once, when it is well again


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """The envelope."""

    idempotency_key: UUID
    date: datetime
    app: str
    version: str
    type: str
    payload: dict[str, Any]


def from_row(row: Any) -> Event:
    """Build an event from its outbox row and what that points at."""
    connector = ConnectorID(row["provider"], row["installation"]) if row["installation"] else None
    match row["type"]:
        case EventType.SAVED_PAYMENT if row["reference"] is not None and connector:
            payload = _payment(row, connector)
        case EventType.SAVED_ACCOUNT | EventType.SAVED_BALANCE if row["account"] is not None and connector:
            known = account_id(connector, row["account"])
            payload = {("id" if row["type"] == EventType.SAVED_ACCOUNT else "accountID"): known}
            payload |= _facts(row) | _of(connector)
        case EventType.TASK_FAILED | EventType.TASK_RECOVERED if connector:
            payload = {"id": row["object"], **_facts(row), **_of(connector)}
        case _:
            payload = _facts(row)
    name = f"{row['type']}:{row['object']}:{row['part']}"
    if row["resets"] and row["type"].startswith("SAVED"):
        # After a reset the same is told again, to those who have dropped it: another event.
        name = f"{name}:{row['resets']}"
    key = uuid5(_SPACE, name)
    return Event(key, row["created_at"], APP, VERSION, row["type"], payload)


def _payment(row: Any, connector: ConnectorID) -> dict[str, Any]:
    payload = {
        "id": payment_id(connector, row["reference"], row["first_type"]),
        "reference": row["reference"],
        "createdAt": row["payment_created_at"],
        **_of(connector),
        "type": row["payment_type"],
        "status": row["status"],
        "scheme": row["scheme"],
        "asset": row["asset"],
        "initialAmount": row["initial_amount"],
        "amount": row["amount"],
        "links": None,
        "metadata": as_json(row["metadata"]),
        "rawData": as_json(row["raw"]),
    }
    for end in ("source", "destination"):
        if row[end] is not None:
            payload[f"{end}AccountId"] = account_id(connector, row[end])
    return payload


def as_json(text: str | None) -> Any:
    """Stored JSON as it is, without reading it twice; what is no JSON as the text it is."""
    if text is None:
        return None
    try:
        # Not into values: a number may be beyond what those can hold, and need not be.
        return msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return text


def _facts(row: Any) -> dict[str, Any]:
    facts = msgspec.json.decode(row["facts"], type=dict[str, Any]) if row["facts"] else {}
    if "createdAt" in facts:
        facts["createdAt"] = rfc3339(parse_rfc3339(facts["createdAt"]))  # the database writes +00:00
    return facts


def _of(connector: ConnectorID) -> dict[str, Any]:
    return {"connectorId": connector.encode(), "provider": connector.provider}
