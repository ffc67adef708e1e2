"""Bank accounts as they are kept: what many change at once, and what only their keys can open."""

import asyncio
import json
from uuid import UUID, uuid4

import pytest
from tests.integration.services.conftest import KEY, events_of

from paymux.domain.bank_account import Numbers
from paymux.services.banking import (
    METADATA_MAX,
    BankAccountToKeep,
    Banking,
    MetadataTooLarge,
    NoSuchBankAccount,
)
from paymux.storage import bank_accounts
from paymux.storage.database import Database
from paymux.storage.installations import any_sealed
from paymux.storage.vault import Tampered, Vault

KEPT = BankAccountToKeep(
    name="x", country="DE", numbers=Numbers("DE89370400440532013000"), metadata={"a": "1"}
)


@pytest.fixture
def banking(database: Database) -> Banking:
    return Banking(database, Vault([KEY]), lambda: None)


async def metadata_of(database: Database, bank_account: UUID) -> dict[str, str]:
    (row,) = await bank_accounts.get(database, bank_account)
    found: dict[str, str] = json.loads(row["metadata"])
    return found


async def test_what_many_add_at_once_is_all_there(database: Database, banking: Banking) -> None:
    """And each change is an event of its own, with what was there by then."""
    made = await banking.create(KEPT)
    await asyncio.gather(*(banking.describe(made, {str(number): "x"}) for number in range(10)))

    assert (await metadata_of(database, made)).keys() == {"a", *map(str, range(10))}
    events = await events_of(database, "SAVED_BANK_ACCOUNT")
    assert [len(json.loads(event["facts"])["metadata"]) for event in events] == list(range(1, 12))
    assert len({event["part"] for event in events}) == 11


async def test_what_says_nothing_new_is_not_told(database: Database, banking: Banking) -> None:
    """Nor is what is refused."""
    made = await banking.create(KEPT)
    await banking.describe(made, {"a": "1"})
    with pytest.raises(MetadataTooLarge):
        await banking.describe(made, {"b": "x" * METADATA_MAX})
    with pytest.raises(MetadataTooLarge):
        await banking.create(
            BankAccountToKeep(
                name="x", country="DE", numbers=Numbers(), metadata={"\U0001f4b6" * 25_000: "1"}
            )
        )
    with pytest.raises(NoSuchBankAccount):
        await banking.describe(uuid4(), {"b": "1"})

    assert await metadata_of(database, made) == {"a": "1"}
    assert len(await events_of(database, "SAVED_BANK_ACCOUNT")) == 1


async def test_numbers_open_in_their_own_row_alone(database: Database, banking: Banking) -> None:
    """Whoever copies them to another one has nothing."""
    first, second = await banking.create(KEPT), await banking.create(KEPT)
    row = await bank_accounts.opened(database, first)
    assert row is not None
    assert banking.numbers(first, row["numbers"]) == KEPT.numbers
    with pytest.raises(Tampered):
        banking.numbers(second, row["numbers"])


async def test_a_new_key_is_not_made_over_them(database: Database, banking: Banking) -> None:
    """It could not open them, and would only hide that the old one is gone."""
    assert await any_sealed(database.url) is False
    await banking.create(KEPT)
    assert await any_sealed(database.url) is True
