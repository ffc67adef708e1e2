"""Seal anew what an old key sealed, so that the old key can be thrown away."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import msgspec

from paymux.services.banking import context
from paymux.storage import bank_accounts, installations
from paymux.storage.database import Database
from paymux.storage.vault import Vault, VaultError


class Resealed(msgspec.Struct, frozen=True):
    """How many secrets were sealed anew, and why those that were not could not be, by whose they are."""

    count: int
    refused: dict[str, str]


class _Secret(msgspec.Struct, frozen=True):
    """A sealed secret: whose it is, the row it lives in, and what replaces it if it is still the same."""

    owner: str
    context: bytes
    sealed: bytes
    replace: Callable[[bytes], Awaitable[bool]]


async def reseal(database: Database, vault: Vault) -> Resealed:
    """Seal with the first key every config and bank account that was sealed with another.

    Each is replaced by itself and only if it has not changed meanwhile; so this may be interrupted,
    repeated, and done while the service works.
    """
    count = 0
    refused = {}
    async for secret in _secrets(database, vault):
        try:
            plain = vault.open(secret.sealed, secret.context)
        except VaultError as error:
            refused[secret.owner] = str(error)
            continue
        count += await secret.replace(vault.seal(plain, secret.context))
    return Resealed(count, refused)


async def _secrets(database: Database, vault: Vault) -> AsyncIterator[_Secret]:
    for row in await installations.sealed(database):
        if vault.is_current(row["config"]):
            continue
        key, config = row["id"], row["config"]
        yield _Secret(
            f"{row['provider']} {row['name']}",
            row["uuid"].bytes,
            config,
            partial(installations.reseal, database, key, config),
        )
    last = None
    while rows := await bank_accounts.sealed(database, vault.header, last):
        for row in rows:
            last, numbers = row["id"], row["numbers"]
            yield _Secret(
                f"bank account {last}",
                context(last),
                numbers,
                partial(bank_accounts.reseal, database, last, numbers),
            )
