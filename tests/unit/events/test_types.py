from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from paymux.domain.ids import ConnectorID, account_id, payment_id
from paymux.domain.transfer import OUTCOME_UNKNOWN
from paymux.events.types import EventType, as_json, from_row

CONNECTOR = ConnectorID("EXAMPLE", UUID("93b44ff6-d939-473d-ba59-c754c7cd8777"))
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
OBJECT, PART = UUID(int=1), UUID(int=2)
HUGE = 10**78 - 1
EMPTY = dict.fromkeys(
    ("facts", "reference", "first_type", "payment_created_at", "initial_amount", "payment_type", "status",
     "scheme", "asset", "amount", "metadata", "raw", "source", "destination", "account", "resets"),
)  # fmt: skip


def row(kind: str, **columns: Any) -> dict[str, Any]:
    """What the relay reads for one event."""
    known = {"type": kind, "object": OBJECT, "part": PART, "created_at": NOON}
    return EMPTY | known | {"installation": CONNECTOR.reference, "provider": "EXAMPLE"} | columns


def paid(**columns: Any) -> dict[str, Any]:
    return row(
        "SAVED_PAYMENT", reference="p", first_type="PAY-IN", payment_type="PAYOUT", payment_created_at=NOON,
        initial_amount=HUGE, amount=-HUGE, status="FAILED", scheme="visa", asset="ETH/18", **columns,
    )  # fmt: skip


def told(columns: dict[str, Any]) -> Any:
    """As it goes over the wire."""
    return msgspec.json.decode(msgspec.json.encode(from_row(columns)))


def test_the_envelope() -> None:
    """As consumers of the tutorial's service know it, and an idempotency key."""
    event = told(paid())

    assert UUID(event.pop("idempotencyKey")).version == 5
    assert event.pop("payload")
    assert event == {
        "date": "2024-05-01T12:00:00Z",
        "app": "payments",
        "version": "v1",
        "type": "SAVED_PAYMENT",
    }


def test_a_payment() -> None:
    """Its id keeps the type that was seen first; amounts are exact."""
    metadata = '{"k": "v"}'
    payload = told(paid(source="s", destination="d", metadata=metadata, raw='{"a":1.10}'))["payload"]

    assert payload == {
        "id": payment_id(CONNECTOR, "p", "PAY-IN"),
        "reference": "p",
        "createdAt": "2024-05-01T12:00:00Z",
        "connectorId": CONNECTOR.encode(),
        "provider": "EXAMPLE",
        "type": "PAYOUT",
        "status": "FAILED",
        "scheme": "visa",
        "asset": "ETH/18",
        "initialAmount": HUGE,
        "amount": -HUGE,
        "links": None,
        "metadata": {"k": "v"},
        "rawData": {"a": 1.10},
        "sourceAccountId": account_id(CONNECTOR, "s"),
        "destinationAccountId": account_id(CONNECTOR, "d"),
    }


def test_a_payment_without_accounts_names_none() -> None:
    """Absent, and not the id of nothing."""
    payload = told(paid())["payload"]

    assert not {"sourceAccountId", "destinationAccountId"} & payload.keys()
    assert payload["metadata"] is payload["rawData"] is None


def test_an_account() -> None:
    """Its time is written like all others: the database writes +00:00."""
    known = {"reference": "a", "type": "INTERNAL", "accountName": "n", "defaultAsset": ""}
    facts = msgspec.json.encode(known | {"createdAt": "2024-05-01T12:00:00.5+00:00"}).decode()
    payload = told(row("SAVED_ACCOUNT", account="a", facts=facts))["payload"]

    assert payload == {
        "id": account_id(CONNECTOR, "a"),
        "reference": "a",
        "type": "INTERNAL",
        "accountName": "n",
        "defaultAsset": "",
        "createdAt": "2024-05-01T12:00:00.500000Z",
        "connectorId": CONNECTOR.encode(),
        "provider": "EXAMPLE",
    }


def test_a_balance() -> None:
    """Of any size."""
    facts = f'{{"asset":"ETH/18","createdAt":"2024-05-01T12:00:00+00:00","balance":{HUGE}}}'
    payload = told(row("SAVED_BALANCE", account="a", facts=facts))["payload"]

    assert payload == {
        "accountID": account_id(CONNECTOR, "a"),
        "asset": "ETH/18",
        "createdAt": "2024-05-01T12:00:00Z",
        "balance": HUGE,
        "connectorId": CONNECTOR.encode(),
        "provider": "EXAMPLE",
    }


@pytest.mark.parametrize(("kind", "error"), [("TASK_FAILED", "no"), ("TASK_RECOVERED", None)])
def test_a_task(kind: str, error: str | None) -> None:
    """By its id and what is to be done in it."""
    facts = msgspec.json.encode({"descriptor": {"fetch": {}}, "error": error}).decode()
    payload = told(row(kind, facts=facts))["payload"]

    assert payload == {
        "id": str(OBJECT),
        "descriptor": {"fetch": {}},
        "error": error,
        "connectorId": CONNECTOR.encode(),
        "provider": "EXAMPLE",
    }


@pytest.mark.parametrize("kind", [*EventType, "SOMETHING_NEW"])
def test_what_an_event_points_at_may_be_gone(kind: str) -> None:
    """Nothing in the outbox can stop what comes after it."""
    gone = row(kind, installation=None, provider=None, facts='{"n":1}')
    deleted = {"id": str(OBJECT), "createdAt": "2024-05-01T12:00:00Z"}

    assert told(gone)["payload"] == (deleted if kind.startswith("DELETED") else {"n": 1})
    assert told(row(kind, facts=None))["idempotencyKey"]


def test_a_transfer_initiation() -> None:
    """In the words of the tutorial's service: not knowing is PROCESSING, with a word about it."""
    paid = {
        "reference": "p", "type": "PAYOUT", "createdAt": "2024-05-01T11:00:00+00:00", "status": "PROCESSED",
        "error": "",
    }  # fmt: skip
    facts = {
        "reference": "salary", "createdAt": "2024-05-01T11:00:00+00:00", "scheduledAt": None,
        "type": "PAYOUT",
        "description": "May", "source": None, "destination": "ben", "amount": HUGE, "asset": "EUR/2",
        "attempts": 3, "status": "UNKNOWN", "error": "timed out", "payments": [paid],
    }  # fmt: skip
    saved = told(row("SAVED_TRANSFER_INITIATION", facts=msgspec.json.encode(facts).decode()))["payload"]
    deleted = told(row("DELETED_TRANSFER_INITIATION", facts=msgspec.json.encode(facts).decode()))["payload"]

    assert (saved["status"], saved["error"]) == ("PROCESSING", OUTCOME_UNKNOWN)
    assert (saved["amount"], saved["scheduledAt"]) == (HUGE, "0001-01-01T00:00:00Z")
    assert saved["id"] == deleted["id"] == account_id(CONNECTOR, "salary")
    assert (saved["sourceAccountId"], saved["destinationAccountId"]) == ("", account_id(CONNECTOR, "ben"))
    assert saved["relatedPayments"] == [
        {
            "transferInitiationId": saved["id"],
            "paymentId": payment_id(CONNECTOR, "p", "PAYOUT"),
            "createdAt": "2024-05-01T11:00:00Z",
            "status": "PROCESSED",
            "error": "",
        }
    ]
    assert deleted == {"id": saved["id"], "createdAt": "2024-05-01T11:00:00Z"}


def test_a_pool() -> None:
    """What a row says itself needs no code: its object, its time and its facts are the payload."""
    own = {"installation": None, "provider": None}
    facts = '{"name":"all","accountIDs":["a"],"createdAt":"2024-05-01T11:00:00+00:00","secret":1}'

    assert told(row("SAVED_POOL", facts=facts, **own))["payload"] == {
        "id": str(OBJECT),
        "name": "all",
        "createdAt": "2024-05-01T11:00:00Z",
        "accountIDs": ["a"],
    }
    assert told(row("DELETED_POOL", facts=None, **own))["payload"] == {
        "id": str(OBJECT),
        "createdAt": "2024-05-01T12:00:00Z",
    }


def test_a_key_follows_from_what_happened() -> None:
    """The same event has the same key whenever it is told, and no two events share one."""
    keys = {
        from_row(columns).idempotency_key
        for columns in (
            paid(), paid(raw="{}"), paid() | {"created_at": NOON.replace(year=2025)},
            paid(part=UUID(int=3)), paid(object=UUID(int=3)), row("SAVED_ACCOUNT", account="a"),
        )
    }  # fmt: skip

    assert len(keys) == 4


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"b":1.10,"a":[1e400]}', '{"b":1.10,"a":[1e400]}'),
        ("12345678901234567890123456789", "12345678901234567890123456789"),
        ('{"a":1,"a":2}', '{"a":1,"a":2}'),
        ('"text"', '"text"'),
        ("null", "null"),
        ("plain", '"plain"'),
        ("1.2.3", '"1.2.3"'),
        ("NaN", '"NaN"'),
        ('{"a":', '"{\\"a\\":"'),
        ("", '""'),
        ("\u2028 \U0001f600", '"\u2028 \U0001f600"'),
        ("[" * 5000 + "]" * 5000, '"' + "[" * 5000 + "]" * 5000 + '"'),
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_stored_json_is_shown_as_it_is(text: str, shown: str) -> None:
    """To the digit, beyond what a float can hold; what is no JSON, or too deep for it, is shown as text."""
    assert msgspec.json.encode(as_json(text)).decode() == shown


def test_nothing_stored_is_nothing() -> None:
    """And not the text of it."""
    assert as_json(None) is None
