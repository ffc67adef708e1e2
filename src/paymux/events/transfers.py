"""Payloads of events about transfer initiations, from what the database wrote down with the change."""

from datetime import datetime
from typing import Any

import msgspec

from paymux.domain.ids import ConnectorID, account_id, payment_id
from paymux.domain.times import NO_TIME
from paymux.domain.transfer import shown
from paymux.events.payloads import DeletedTransferInitiation, RelatedPayment, SavedTransferInitiation


class _Payment(msgspec.Struct, rename="camel"):
    reference: str
    type: str
    created_at: datetime
    status: str
    error: str


class _Facts(msgspec.Struct, rename="camel", kw_only=True):
    """As functions/transfers.sql writes them; of one that was deleted, only the first two."""

    reference: str
    created_at: datetime
    scheduled_at: datetime | None = None
    description: str = ""
    type: str = ""
    source: str | None = None
    destination: str = ""
    amount: int = 0
    asset: str = ""
    attempts: int = 0
    status: str = "REJECTED"
    error: str = ""
    payments: list[_Payment] = []


def transfer(kind: type[Any], facts: str, connector: ConnectorID) -> Any:
    """The payload of an event of this kind."""
    try:
        its = msgspec.json.decode(facts, type=_Facts)
    except msgspec.DecodeError:  # a newer version wrote it; it must not stop what comes after it
        return msgspec.json.decode(facts)
    id_ = account_id(connector, its.reference)
    if kind is DeletedTransferInitiation:
        return DeletedTransferInitiation(id=id_, created_at=its.created_at)
    standing = shown(its.status, its.error)
    return SavedTransferInitiation(
        id=id_,
        created_at=its.created_at,
        scheduled_at=its.scheduled_at or NO_TIME,
        connector_id=connector.encode(),
        provider=connector.provider,
        description=its.description,
        type=its.type,
        source_account_id=account_id(connector, its.source or ""),
        destination_account_id=account_id(connector, its.destination),
        amount=its.amount,
        asset=its.asset,
        attempts=its.attempts,
        status=standing.status,
        error=standing.error,
        related_payments=[
            RelatedPayment(
                id_, payment_id(connector, one.reference, one.type), one.created_at, one.status, one.error
            )
            for one in its.payments
        ],
    )
