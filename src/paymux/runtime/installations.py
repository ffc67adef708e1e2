"""Installations at work: the connector of each, made with its config of now.

A worker learns of a new installation or a changed config from the first run that needs it: the run
carries the config's revision, and one that is not at hand is read and unsealed then.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from paymux.domain.ids import ConnectorID
from paymux.domain.mask import MASKED, Mask
from paymux.runtime.registry import Registry, UnknownConnector
from paymux.sdk import BadConfig, Connector, ConnectorConfig, TryAgain
from paymux.sdk.config import load, masked, revealed, secrets_of
from paymux.storage import installations
from paymux.storage.database import Database, Row
from paymux.storage.vault import KeyMissing, Vault


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


class NotReady(TryAgain):
    """What the installation needs is not here yet; its tasks wait for it."""


class Installations:
    """Reads installations and keeps those that were read."""

    def __init__(self, database: Database, registry: Registry, vault: Vault, mask: Mask) -> None:
        self._database = database
        self._registry = registry
        self._vault = vault
        self.mask = mask
        self._known: dict[int, Installation] = {}

    async def at(self, key: int, revision: int) -> Installation:
        """The installation with this revision of its config, or a later one.

        Raises:
            InstallationGone: it was uninstalled meanwhile.
            NotReady: its connector, or the key to its config, is not at hand here; no reason to give up.
            BadConfig: the connector has changed and no longer accepts its config.
        """
        known = self._known.get(key)
        if known is None or known.revision < revision:
            row = await installations.load(self._database, key)
            if row is None:
                raise InstallationGone(InstallationGone.__doc__)
            try:
                known = self._known[key] = self.read(row)
            except (UnknownConnector, KeyMissing) as error:
                raise NotReady(str(error)) from error
        return known

    def read(self, row: Row) -> Installation:
        """Make an installation from its row.

        Raises:
            UnknownConnector: its connector is not installed here.
            KeyMissing: its config was sealed with a key that is not at hand.
            BadConfig: the connector has changed and no longer accepts its config.
        """
        found = self._registry.get(row["provider"])
        return self.made(row, load(found.config_class, self.unseal(row["uuid"], row["config"])))

    def made(self, row: Row, config: ConnectorConfig) -> Installation:
        """Make an installation from its row, with another config than the row's."""
        found = self._registry.get(row["provider"])
        self.mask.add(secrets_of(config))
        return Installation(
            key=row["id"],
            id=ConnectorID(row["provider"], row["uuid"]),
            name=row["name"],
            revision=row["revision"],
            connector=found(config),
            created_at=row["created_at"],
        )

    def shown(self, row: Row) -> dict[str, Any]:
        """The config as people may see it; where nobody can say what is secret in it, all of it is.

        Raises KeyMissing or Tampered.
        """
        config = self.unseal(row["uuid"], row["config"])
        try:
            return masked(load(self._registry.get(row["provider"]).config_class, config))
        except (UnknownConnector, BadConfig):
            return dict.fromkeys(config, MASKED) | {"name": row["name"]}

    def forget(self, key: int) -> None:
        """Let go of one that was uninstalled."""
        self._known.pop(key, None)

    def seal(self, uuid: UUID, config: ConnectorConfig) -> bytes:
        """Encrypt a config for its installation's row, and for no other."""
        self.mask.add(secrets_of(config))
        return self._vault.seal(msgspec.json.encode(revealed(config)), uuid.bytes)

    def unseal(self, uuid: UUID, sealed: bytes) -> dict[str, Any]:
        """Decrypt a config. Raises KeyMissing or Tampered."""
        return msgspec.json.decode(self._vault.open(sealed, uuid.bytes), type=dict[str, Any])
