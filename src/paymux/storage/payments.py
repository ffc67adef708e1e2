"""Reads payments, each with its reports, and sets their metadata."""

from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

import msgspec

from paymux.domain.filter import Kind
from paymux.domain.payment import PaymentScheme, PaymentStatus, PaymentType
from paymux.storage import listing
from paymux.storage.database import Database, Row
from paymux.storage.listing import Asked, Column, Noun, Place
from paymux.storage.statements import statements

_SQL = statements("payments")

PAYMENTS = Noun(
    "payment",
    {
        "id": Column(Kind.PAYMENT, "r.key"),
        "reference": Column(Kind.REFERENCE, "r.reference"),
        "connectorID": Column(Kind.CONNECTOR, "r.installation"),
        "provider": Column(Kind.PROVIDER, "r.installation"),
        "type": Column(Kind.WORD, "r.type", tuple(PaymentType)),
        "status": Column(Kind.WORD, "r.status", tuple(PaymentStatus)),
        "scheme": Column(Kind.WORD, "r.scheme", tuple(PaymentScheme)),
        "asset": Column(Kind.ASSET, "r.asset"),
        "amount": Column(Kind.NUMBER, "r.amount"),
        "initialAmount": Column(Kind.NUMBER, "r.initial_amount"),
        "sourceAccountID": Column(Kind.ACCOUNT, "r.source", optional=True),
        "destinationAccountID": Column(Kind.ACCOUNT, "r.destination", optional=True),
        "createdAt": Column(Kind.TIME, "r.created_at"),
        "metadata": Column(Kind.METADATA, "r.metadata"),
    },
    _SQL["list"],
)


async def listed(db: Database, asked: Asked, limit: int) -> tuple[list[list[Row]], list[Place]]:
    """Payments, a list of rows each, one a report, newest first; and the place of each payment.

    Raises:
        TooSlow: it took longer than a list may.
    """
    return listing.grouped(*await listing.listed(db, PAYMENTS, asked, limit), "key")


async def get(db: Database, key: UUID) -> list[Row]:
    """One payment, a row a report, newest first; empty when there is none."""
    return await db.fetch(_SQL["get"], key)


class Annotated(StrEnum):
    """What became of metadata that somebody has set."""

    CHANGED = "CHANGED"
    SAME = "SAME"  # it was set to just that before
    ABSENT = "ABSENT"  # there is no such payment
    TOO_LARGE = "TOO_LARGE"


async def annotate(db: Database, key: UUID, metadata: Mapping[str, str], limit: int) -> Annotated:
    """Set metadata beside what is there; ``limit`` is of the characters of all that was set together."""
    said = msgspec.json.encode(metadata).decode()
    return Annotated(await db.fetchval(_SQL["annotate"], key, said, limit))


async def metadata_history(db: Database, key: UUID, limit: int) -> list[Row]:
    """What was said of each key of a payment's metadata and by whom, newest first."""
    return await db.fetch(_SQL["metadata_history"], key, limit)
