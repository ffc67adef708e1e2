"""Bank accounts that are kept here, numbers sealed, and how far they have come on the way to providers."""

from uuid import UUID

from paymux.domain.filter import Kind
from paymux.storage import listing
from paymux.storage.database import Connection, Database, Row, affected
from paymux.storage.listing import Asked, Column, Noun, Place
from paymux.storage.statements import statements

_SQL = statements("bank_accounts")
# Rows that are sealed anew at a time.
BATCH = 1000

BANK_ACCOUNTS = Noun(
    "bank_account",
    {
        "id": Column(Kind.KEY, "r.id"),
        "name": Column(Kind.TEXT, "r.name"),
        "country": Column(Kind.TEXT, "r.country"),
        "swiftBicCode": Column(Kind.TEXT, "r.bic"),
        "createdAt": Column(Kind.TIME, "r.created_at"),
        "metadata": Column(Kind.METADATA, "r.metadata"),
    },
    _SQL["list"],
)


async def listed(db: Database, asked: Asked, limit: int) -> tuple[list[list[Row]], list[Place]]:
    """Bank accounts, a list of rows each, one a related account; and the place of each bank account.

    Raises:
        TooSlow: it took longer than a list may.
    """
    return listing.grouped(*await listing.listed(db, BANK_ACCOUNTS, asked, limit), "id")


async def get(db: Database | Connection, bank_account: UUID) -> list[Row]:
    """One bank account, a row a related account or one row; empty when there is none."""
    return await db.fetch(_SQL["get"], bank_account)


async def insert(
    db: Connection, bank_account: UUID, *, name: str, country: str, numbers: bytes, shown: tuple[str, str],
    bic: str, metadata: str | None,
) -> None:  # fmt: skip
    """Keep one; ``numbers`` sealed, ``shown`` IBAN and account number as people may see them."""
    await db.execute(_SQL["insert"], bank_account, name, country, numbers, *shown, bic, metadata)


async def hold(db: Connection, bank_account: UUID) -> Row | None:
    """The metadata of one that nobody else changes until the end of the transaction."""
    return await db.fetchrow(_SQL["hold"], bank_account)


async def describe(db: Connection, bank_account: UUID, metadata: str) -> None:
    """Replace its metadata."""
    await db.execute(_SQL["describe"], bank_account, metadata)


async def changed(db: Connection, bank_account: UUID) -> None:
    """Count a change."""
    await db.execute(_SQL["changed"], bank_account)


async def sealed(db: Database, header: bytes, after: UUID | None) -> list[Row]:
    """A batch of ids and numbers whose seal begins otherwise, behind the last one of the batch before."""
    return await db.fetch(_SQL["sealed"], header, after, BATCH)


async def reseal(db: Database, bank_account: UUID, old: bytes, new: bytes) -> bool:
    """Replace sealed numbers by the same ones sealed anew; False when they have changed meanwhile."""
    return affected(await db.execute(_SQL["reseal"], bank_account, old, new)) == 1


async def opened(db: Database, bank_account: UUID) -> Row | None:
    """What a provider is told of one, its numbers sealed."""
    return await db.fetchrow(_SQL["open"], bank_account)


async def begin(db: Database, bank_account: UUID, installation: int, forward: UUID, key: str) -> Row | None:
    """How far it has come on its way to an installation; it sets out now when it has not.

    None when the installation is not open.
    """
    await db.execute(_SQL["begin"], bank_account, installation, forward, key)
    return await db.fetchrow(_SQL["forward"], bank_account, installation)


async def anew(db: Database, bank_account: UUID, installation: int, attempt: int, key: str) -> Row | None:
    """Set out again after a refusal, under another key."""
    await db.execute(_SQL["anew"], bank_account, installation, attempt, key)
    return await db.fetchrow(_SQL["forward"], bank_account, installation)


async def refused(db: Database, bank_account: UUID, installation: int) -> None:
    """Keep that the provider has said no, for good."""
    await db.execute(_SQL["refused"], bank_account, installation)


async def relate(db: Connection, bank_account: UUID, installation: int, account: UUID) -> bool:
    """Keep which account it has become; False when the installation is gone."""
    return affected(await db.execute(_SQL["relate"], bank_account, installation, account)) == 1
