"""A provider that never was: pages of payments in its own JSON, and the mapping an author would write.

Everything follows from a payment's number, so the same page can be asked for again, byte for byte.
"""

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import msgspec

from paymux.sdk import (
    Amount,
    Asset,
    Payment,
    PaymentScheme,
    PaymentStatus,
    PaymentType,
    SetAside,
    mapped,
)

PAGE = 1000
ACCOUNTS = 1000
# One payment in so many has the rare status.
RARE = 5000
RARE_STATUS = PaymentStatus.DISPUTE
COMMON_STATUS = PaymentStatus.SUCCEEDED

_NEWEST = datetime(2026, 1, 1, tzinfo=UTC)
_TYPES = {"in": PaymentType.PAY_IN, "out": PaymentType.PAYOUT}
_STATUSES = {
    "settled": COMMON_STATUS,
    "open": PaymentStatus.PENDING,
    "failed": PaymentStatus.FAILED,
    "disputed": RARE_STATUS,
}
_SCHEMES = {"sepa_credit_transfer": PaymentScheme.SEPA_CREDIT, "visa": PaymentScheme.VISA}


class _Item(msgspec.Struct):
    id: str
    created: datetime
    direction: str
    status: str
    amount: int
    currency: str
    method: str
    source: str
    destination: str


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    has_more: bool = False


_page = msgspec.json.Decoder(_Page).decode
_item = msgspec.json.Decoder(_Item).decode
_encode = msgspec.json.Encoder().encode


def page(number: int, size: int = PAGE) -> bytes:
    """What the provider answers when asked for page ``number``: about 1 KB a payment."""
    first = number * size
    items = [_payment(n) for n in range(first, first + size)]
    return _encode({"object": "list", "has_more": True, "data": items})


def payments(content: bytes) -> list[Payment | SetAside]:
    """Decode a page and map its items, as a connector does."""
    return list(mapped(_page(content).data, _mapped))


def _mapped(raw: msgspec.Raw) -> Payment:
    found = _item(raw)
    return Payment(
        reference=found.id,
        type=_TYPES[found.direction],
        status=_STATUSES[found.status],
        amount=Amount.from_minor(found.amount, Asset.parse(f"{found.currency}/2")),
        scheme=_SCHEMES[found.method],
        created_at=found.created,
        source=found.source,
        destination=found.destination,
        raw=bytes(raw),
    )


def _payment(number: int) -> dict[str, Any]:
    noise = blake2b(number.to_bytes(8), digest_size=64).hexdigest()
    source, destination = int(noise[:4], 16) % ACCOUNTS, int(noise[4:8], 16) % ACCOUNTS
    return {
        "id": f"pay_{noise[:24]}",
        "object": "payment",
        "created": _NEWEST - timedelta(seconds=7 * number, microseconds=number % 1_000_000),
        "direction": "in" if number % 3 else "out",
        "status": _status(number),
        "amount": int(noise[8:14], 16),
        "amount_refunded": 0,
        "currency": ("EUR", "USD", "GBP")[number % 3],
        "method": "visa" if number % 2 else "sepa_credit_transfer",
        "source": f"acct_{source:06d}",
        "destination": f"acct_{destination:06d}",
        "statement": f"INVOICE {number:09d} / {noise[24:56]}",
        "description": "Subscription, monthly, paid in advance; see the terms that came with the order.",
        "end_to_end_id": noise[56:88],
        "fees": [{"kind": "processing", "amount": 25, "currency": "EUR", "ref": noise[88:104]}],
        "payer": {
            "name": f"Customer {number}",
            "email": f"customer-{number}@example.com",
            "address": {
                "line1": "1 Harbour Street",
                "city": "Rotterdam",
                "postcode": "3011",
                "country": "NL",
            },
            "phone": None,
        },
        "checks": {"address": "pass", "postcode": "pass", "cvc": "unavailable", "risk": number % 100},
        "metadata": {"order": noise[104:120], "channel": "web", "campaign": None, "agent": ""},
        "links": {"self": f"https://provider.example/v1/payments/pay_{noise[:24]}"},
        "livemode": True,
        "captured": True,
        "disputed": False,
        "failure": None,
    }


def _status(number: int) -> str:
    if number % RARE == RARE // 2:
        return "disputed"
    tail = number % 20
    return "open" if tail == 0 else "failed" if tail == 1 else "settled"
