"""Installations at work: the connector of each, made with its config of now.

A worker learns of a new installation or a changed config from the first run that needs it: the run
carries the config's revision, and one that is not at hand is read and unsealed then.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from paymux.domain.ids import ConnectorID
from paymux.domain.mask import Mask
from paymux.runtime.registry import Registry
from paymux.sdk import Connector, ConnectorConfig
from paymux.sdk.config import load, revealed, secrets_of
from paymux.storage import installations
from paymux.storage.database import Database, Row
from paymux.storage.vault import Vault


class Installation(msgspec.Struct, frozen=True):
    """A connector installed with a config. ``key`` is its row's; ``id`` is what the API calls connectorID."""

    key: int
    id: ConnectorID
    name: str
    revision: int
    connector: Connector[Any]
    created_at: datetime


class InstallationGone(LookupError):
    """This installation was uninstalled."""


class Installations:
    """Reads installations and keeps those that were read."""

    def __init__(self, database: Database, registry: Registry, vault: Vault, mask: Mask) -> None:
        self._database = database
        self._registry = registry
        self._vault = vault
        self._mask = mask
        self._known: dict[int, Installation] = {}

    async def at(self, key: int, revision: int) -> Installation:
        """The installation with this revision of its config, or a later one.

        Raises:
            InstallationGone: it was uninstalled meanwhile.
            UnknownConnector: its connector is not installed here.
            KeyMissing: its config was sealed with a key that is not at hand.
            BadConfig: the connector has changed and no longer accepts its config.
        """
        known = self._known.get(key)
        if known is None or known.revision < revision:
            row = await installations.load(self._database, key)
            if row is None:
                raise InstallationGone(InstallationGone.__doc__)
            known = self._known[key] = self.read(row)
        return known

    def read(self, row: Row) -> Installation:
        """Make an installation from its row; raises as ``at`` does."""
        found = self._registry.get(row["provider"])
        config = load(found.config_class, self.unseal(row["uuid"], row["config"]))
        self._mask.add(secrets_of(config))
        return Installation(
            key=row["id"],
            id=ConnectorID(row["provider"], row["uuid"]),
            name=row["name"],
            revision=row["revision"],
            connector=found(config),
            created_at=row["created_at"],
        )

    def forget(self, key: int) -> None:
        """Let go of one that was uninstalled."""
        self._known.pop(key, None)

    def seal(self, uuid: UUID, config: ConnectorConfig) -> bytes:
        """Encrypt a config for its installation's row, and for no other."""
        self._mask.add(secrets_of(config))
        return self._vault.seal(msgspec.json.encode(revealed(config)), uuid.bytes)

    def unseal(self, uuid: UUID, sealed: bytes) -> dict[str, Any]:
        """Decrypt a config. Raises KeyMissing or Tampered."""
        return msgspec.json.decode(self._vault.open(sealed, uuid.bytes), type=dict[str, Any])
