"""Reads accounts, as they are and as they were."""

from collections.abc import Sequence
from uuid import UUID

from paymux.domain.account import AccountType
from paymux.domain.filter import Kind
from paymux.storage import listing
from paymux.storage.database import Database, Row
from paymux.storage.keyset import either_way
from paymux.storage.listing import Asked, Column, Noun, Place
from paymux.storage.statements import statements

_SQL = statements("accounts")

# As clients see them: one that was made from a bank account kept here is external like any other.
SHOWN_TYPES = tuple(one for one in AccountType if one is not AccountType.EXTERNAL_FORMANCE)

ACCOUNTS = Noun(
    "account",
    {
        "id": Column(Kind.ACCOUNT, "r.key"),
        "reference": Column(Kind.REFERENCE, "r.reference"),
        "connectorID": Column(Kind.CONNECTOR, "r.installation"),
        "provider": Column(Kind.PROVIDER, "r.installation"),
        "type": Column(
            Kind.WORD, "CASE r.type WHEN 'EXTERNAL_FORMANCE' THEN 'EXTERNAL' ELSE r.type END", SHOWN_TYPES
        ),
        "accountName": Column(Kind.TEXT, 'r.name COLLATE "C"'),
        "defaultAsset": Column(Kind.ASSET, "r.default_asset"),
        "createdAt": Column(Kind.TIME, "r.created_at"),
        "metadata": Column(Kind.METADATA, "r.metadata"),
    },
    _SQL["list"],
)


async def listed(db: Database, asked: Asked, limit: int) -> tuple[list[Row], list[Place]]:
    """Accounts, and the place of each.

    Raises:
        TooSlow: it took longer than a list may.
    """
    return await listing.listed(db, ACCOUNTS, asked, limit)


async def get(db: Database, key: UUID) -> Row | None:
    """One account."""
    return await db.fetchrow(_SQL["get"], key)


async def history(
    db: Database, key: UUID, version: int | None, limit: int, *, back: bool = False
) -> Sequence[Row]:
    """Versions of an account, newest first: those after one in the list, or before it."""
    return await either_way(db, _SQL["history"], key, version, limit, back=back)
