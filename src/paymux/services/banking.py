"""Keep bank accounts: numbers sealed, what is shown of them beside, and an event with each change."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid4

import msgspec
import structlog

from paymux.domain.bank_account import Numbers, shown_account_number, shown_iban
from paymux.domain.ids import ConnectorID, account_id
from paymux.events.types import EventType
from paymux.storage import bank_accounts, events
from paymux.storage.database import Connection, Database, Row
from paymux.storage.vault import Vault

# Bytes of all keys and values of one bank account: it goes to providers, which take less.
METADATA_MAX = 100_000


class NoSuchBankAccount(LookupError):
    """There is no such bank account."""


class MetadataTooLarge(ValueError):
    """All keys and values of a bank account's metadata have 100,000 bytes at most."""


class BankAccountToKeep(msgspec.Struct, frozen=True, kw_only=True):
    """A bank account as people give it, each part read by ``domain.bank_account``."""

    name: str
    country: str
    numbers: Numbers
    bic: str = ""
    metadata: Mapping[str, str] = {}


class Banking:
    """Keeps bank accounts; ``told`` is called when events may be waiting."""

    def __init__(self, database: Database, vault: Vault, told: Callable[[], None]) -> None:
        self._database = database
        self._vault = vault
        self._told = told

    async def create(self, wanted: BankAccountToKeep) -> UUID:
        """Keep one.

        Raises:
            MetadataTooLarge: nothing was kept.
        """
        new = uuid4()
        async with self._database.transaction() as db:
            await bank_accounts.insert(
                db, new, name=wanted.name, country=wanted.country, bic=wanted.bic,
                numbers=self._vault.seal(msgspec.json.encode(wanted.numbers), context(new)),
                shown=(shown_iban(wanted.numbers.iban), shown_account_number(wanted.numbers.account_number)),
                metadata=_metadata(wanted.metadata) if wanted.metadata else None,
            )  # fmt: skip
            await tell(db, new)
        self._say("Bank account kept", new)
        return new

    async def describe(self, bank_account: UUID, metadata: Mapping[str, str]) -> None:
        """Add metadata; a key that is there already gets the new value. What changes nothing is not told.

        Raises:
            NoSuchBankAccount, MetadataTooLarge: nothing was changed.
        """
        async with self._database.transaction() as db:
            row = await bank_accounts.hold(db, bank_account)
            if row is None:
                raise NoSuchBankAccount(NoSuchBankAccount.__doc__)
            known = msgspec.json.decode(row["metadata"] or "{}", type=dict[str, str])
            merged = {**known, **metadata}
            if merged == known:
                return
            await bank_accounts.describe(db, bank_account, _metadata(merged))
            await changed(db, bank_account)
        self._say("Bank account described", bank_account)

    def numbers(self, bank_account: UUID, sealed: bytes) -> Numbers:
        """Its numbers in clear.

        Raises:
            KeyMissing, Tampered: they cannot be had.
        """
        return msgspec.json.decode(self._vault.open(sealed, context(bank_account)), type=Numbers)

    def _say(self, what: str, bank_account: UUID) -> None:
        structlog.get_logger().info(what, component="bank-accounts", bankAccountID=str(bank_account))
        self._told()


def context(bank_account: UUID) -> bytes:
    """The row that its numbers are sealed for."""
    return b"bank account" + bank_account.bytes


async def changed(db: Connection, bank_account: UUID) -> None:
    """Count a change and tell of it, in its transaction."""
    await bank_accounts.changed(db, bank_account)
    await tell(db, bank_account)


async def tell(db: Connection, bank_account: UUID) -> None:
    """Tell what it is now."""
    rows = await bank_accounts.get(db, bank_account)
    row = rows[0]
    await events.insert(
        db, installation=None, type=EventType.SAVED_BANK_ACCOUNT, object=bank_account,
        part=UUID(int=row["version"]),
        facts={
            "createdAt": row["created_at"], "name": row["name"], "country": row["country"],
            "iban": row["shown_iban"], "accountNumber": row["shown_account_number"],
            "swiftBicCode": row["bic"], "metadata": row["metadata"] and msgspec.Raw(row["metadata"].encode()),
            "adjustments": [_related(one) for one in rows if one["account"] is not None],
        },
    )  # fmt: skip


def _related(row: Row) -> dict[str, Any]:
    connector = ConnectorID(row["provider"], row["installation"])
    return {
        "id": row["forward"], "createdAt": row["related_at"], "connectorID": connector.encode(),
        "provider": connector.provider, "accountID": account_id(connector, row["account"]),
    }  # fmt: skip


def _metadata(metadata: Mapping[str, str]) -> str:
    if sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) > METADATA_MAX:
        raise MetadataTooLarge(MetadataTooLarge.__doc__)
    return msgspec.json.encode(metadata).decode()
