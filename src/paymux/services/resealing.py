"""Seal anew what an old key sealed, so that the old key can be thrown away."""

import msgspec

from paymux.storage import installations
from paymux.storage.database import Database
from paymux.storage.vault import Vault, VaultError


class Resealed(msgspec.Struct, frozen=True):
    """How many configs were sealed anew, and why those that were not could not be, by installation."""

    count: int
    refused: dict[str, str]


async def reseal(database: Database, vault: Vault) -> Resealed:
    """Seal with the first key every config that was sealed with another.

    Each is replaced by itself and only if it has not changed meanwhile; so this may be interrupted,
    repeated, and done while the service works.
    """
    count = 0
    refused = {}
    for row in await installations.sealed(database):
        if vault.is_current(row["config"]):
            continue
        try:
            plain = vault.open(row["config"], row["uuid"].bytes)
        except VaultError as error:
            refused[f"{row['provider']} {row['name']}"] = str(error)
            continue
        sealed = vault.seal(plain, row["uuid"].bytes)
        count += await installations.reseal(database, row["id"], row["config"], sealed)
    return Resealed(count, refused)
