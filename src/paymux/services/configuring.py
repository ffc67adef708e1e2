"""Change an installation's config: all of it, with what follows from it for its tasks, or nothing."""

from collections.abc import Mapping
from typing import Any

import structlog

from paymux.domain.ids import ConnectorID
from paymux.ingestion.ingester import Holder, Superseded
from paymux.runtime.contexts import InstallationContext
from paymux.runtime.installations import Installation
from paymux.runtime.replanning import Replanner
from paymux.sdk import BadConfig
from paymux.sdk.config import ConnectorConfig, load, masked, update
from paymux.services.calling import calling
from paymux.services.installing import Installing, NameTaken, NotInstalled
from paymux.services.means import Means
from paymux.services.tending import limited
from paymux.storage import installations, operators
from paymux.storage.database import Row, UniqueViolation
from paymux.storage.vault import VaultError


class ChangedMeanwhile(RuntimeError):
    """Somebody else has changed this installation meanwhile. Read its config and try again."""


class Configuring:
    """Replaces configs."""

    def __init__(self, means: Means, installing: Installing) -> None:
        self._database = means.database
        self._registry = means.registry
        self._at_work = means.at_work
        self._engine = means.engine
        self._told = means.told
        self._installing = installing

    async def update(
        self, provider: str, connector: ConnectorID | None, raw: Mapping[str, Any] | None
    ) -> None:
        """Replace the whole config; a secret given as its mask stays what it was.

        The next run of every task uses it, on every worker. While the installation is being reset it
        is only stored: it will be set up with it.

        Raises:
            NotInstalled, Ambiguous, UnknownConnector: there is nothing to change.
            BadConfig, NameTaken, ConnectorFailed, ChangedMeanwhile: nothing was changed.
        """
        row = await self._installing.find(provider, connector)
        shown = ConnectorID(row["provider"], row["uuid"]).encode()
        log = structlog.get_logger().bind(component="connector-manager", connectorID=shown)
        old, config = self._read(row, dict(raw or {}))
        name = config.name.strip() or row["name"]
        config = config.model_copy(update={"name": name})
        log.info("Updating config of connector", config=masked(config))
        planner = Replanner(self._database, self._engine, Holder(row["id"], row["uuid"]))
        with calling(self._at_work.mask, "update of its config"):
            new = self._at_work.made(row, config)
            context = InstallationContext(new, planner, log)
            await limited(new.connector.check(context))
            if row["status"] == "INSTALLED":
                again = new.connector.install(context) if old is None else (
                    old.connector.update_config(context, config)
                )  # fmt: skip
                await limited(again)
        await self._store(row, config, planner)
        log.info("Config updated", name=name)
        self._told()

    def _read(self, row: Row, raw: dict[str, Any]) -> tuple[Installation | None, ConnectorConfig]:
        """The installation as it is, where that can be read, and the new config."""
        found = self._registry.get(row["provider"])
        # A config that was shown says whose it is; sent back, it still does.
        if raw.get("provider") == row["provider"] and "provider" not in found.config_class.model_fields:
            del raw["provider"]
        try:
            before = load(found.config_class, self._at_work.unseal(row["uuid"], row["config"]))
        except (BadConfig, VaultError):
            # The connector has changed, or a key is lost: the new config is how that is mended.
            return None, load(found.config_class, raw)
        config = update(before, raw)
        with calling(self._at_work.mask, "start"):
            return self._at_work.made(row, before), config

    async def _store(self, row: Row, config: ConnectorConfig, planner: Replanner) -> None:
        sealed = self._at_work.seal(row["uuid"], config)
        most = self._registry.get(row["provider"]).max_tasks
        try:
            async with self._database.transaction() as db:
                # The row first: whoever schedules for this installation locks it, too.
                changed = await installations.update_config(
                    db, row["id"], row["revision"], config=sealed, name=config.name, max_tasks=most
                )
                if not changed:
                    raise ChangedMeanwhile(ChangedMeanwhile.__doc__)
                await planner.replan(db)
                # The new credentials may be accepted: who waited for them is let in.
                await self._engine.enqueue(db, await operators.clear_login(db, row["id"]))
        except UniqueViolation:
            raise NameTaken(NameTaken.__doc__) from None
        except Superseded:
            raise NotInstalled(NotInstalled.__doc__) from None
