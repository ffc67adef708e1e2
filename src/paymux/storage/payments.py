"""Reads payments, each with its reports."""

from itertools import groupby
from uuid import UUID

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
    rows, places = await listing.listed(db, PAYMENTS, asked, limit)
    found = [
        list(group) for _, group in groupby(zip(rows, places, strict=True), key=lambda one: one[0]["key"])
    ]
    return [[row for row, _ in group] for group in found], [group[0][1] for group in found]


async def get(db: Database, key: UUID) -> list[Row]:
    """One payment, a row a report, newest first; empty when there is none."""
    return await db.fetch(_SQL["get"], key)
