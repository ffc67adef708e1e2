"""Install, reset and uninstall: to the outside each happens at once or not at all, whatever crashes.

An install takes its name first, then lets the connector schedule its tasks, and opens to the outside
in the transaction that commits those. An uninstall closes first, from then on no run can commit
anything, and deletes in batches afterwards. A reset closes the data, deletes it likewise, and then does
the second half of an install. ``Tending`` finishes what a crash cuts short.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog

from paymux.domain.ids import ConnectorID
from paymux.events.types import EventType
from paymux.ingestion.ingester import Holder, Superseded
from paymux.runtime.contexts import InstallationContext
from paymux.runtime.execution import contained
from paymux.runtime.installations import Installation, Installations
from paymux.runtime.scheduling import Planner
from paymux.sdk.config import ConnectorConfig, load, masked
from paymux.services.calling import calling
from paymux.services.means import Means
from paymux.services.tending import OrdersOpen, TakenOver, Tending, limited, tell
from paymux.storage import installations, transfers
from paymux.storage.database import Row, UniqueViolation

# Somebody waits for it, and wants it gone.
_CLEAN_UP_MAX = timedelta(minutes=1)


class NameTaken(ValueError):
    """An installation of this name exists. Choose another name, or leave it out to get a numbered one."""


class NotInstalled(LookupError):
    """There is no such installation. GET /connectors lists those there are."""


class Ambiguous(LookupError):
    """There is not exactly one installation of this connector. Name one by its connectorID."""


class BeingReset(RuntimeError):
    """This installation is being reset. GET /connectors shows when that is done."""


def able(at_work: Installations, row: Row, method: Callable[..., Any]) -> Installation | None:
    """An open installation whose connector has this method of its own; None when it has not.

    Raises:
        BeingReset, UnknownConnector, ConnectorFailed: it is not open, or cannot be made.
    """
    if row["status"] != "INSTALLED":
        raise BeingReset(BeingReset.__doc__)
    with calling(at_work.mask, "start"):
        installation = at_work.read(row)
    return None if getattr(type(installation.connector), method.__name__) is method else installation


class Installing:
    """Installs, resets and uninstalls connectors."""

    def __init__(self, means: Means, tending: Tending) -> None:
        self._database = means.database
        self._registry = means.registry
        self._at_work = means.at_work
        self._engine = means.engine
        self._told = means.told
        self._tending = tending

    async def install(self, provider: str, raw: Mapping[str, Any] | None) -> ConnectorID:
        """Install a connector.

        Raises:
            UnknownConnector, BadConfig, NameTaken, ConnectorFailed, TaskFailed: nothing was installed.
        """
        found = self._registry.get(provider)
        config = load(found.config_class, raw)
        log = structlog.get_logger().bind(component="connector-manager", provider=found.provider())
        log.info("Install connector", config=masked(config))
        uuid = uuid4()
        key = await self._take_name(uuid, found.provider(), found.name, config, found.max_tasks)
        try:
            installation = await self._tending.held(key, self._open(key, log))
        except BaseException:
            await self._tending.leave(key, uuid, found.provider(), told=False)
            self._tending.go_on(key)
            raise
        log.info("Connector installed", connectorID=installation.id.encode(), name=installation.name)
        self._told()
        return installation.id

    async def uninstall(self, provider: str, connector: ConnectorID | None) -> None:
        """Uninstall; its data is deleted afterwards, in the background.

        Raises:
            NotInstalled, Ambiguous, OrdersOpen: nothing was changed.
        """
        row = await self.find(provider, connector)
        log = structlog.get_logger().bind(component="connector-manager", provider=row["provider"])
        shown = ConnectorID(row["provider"], row["uuid"]).encode()
        async with self._database.transaction() as db:  # before the connector takes anything back
            if unsettled := await transfers.at_the_provider(db, row["id"]):
                raise OrdersOpen(unsettled)
        log.info("Uninstalling connector", connectorID=shown)
        log.info("Stopping scheduler...", connectorID=shown)
        try:
            with contained():
                installation = self._at_work.read(row)
                planner = Planner(self._database, self._engine, Holder(row["id"], row["uuid"]))
                async with asyncio.timeout(_CLEAN_UP_MAX.total_seconds()):
                    await installation.connector.uninstall(InstallationContext(installation, planner, log))
        except Exception as error:  # noqa: BLE001 - somebody who wants it gone must get it gone
            log.warning(
                "The connector could not clean up behind itself", error=self._at_work.mask(str(error))
            )
        if not await self._tending.leave(row["id"], row["uuid"], row["provider"]):
            raise NotInstalled(NotInstalled.__doc__)
        self._told()
        log.info("Connector uninstalled", connectorID=shown)
        self._tending.go_on(row["id"])

    async def reset(self, provider: str, connector: ConnectorID | None) -> None:
        """Forget all that an installation brought in and begin anew, in the background; its config stays.

        Raises:
            NotInstalled, Ambiguous, BeingReset: nothing was changed.
            UnknownConnector, KeyMissing, BadConfig: it could not be set up again, so nothing was changed.
        """
        row = await self.find(provider, connector)
        log = structlog.get_logger().bind(component="connector-manager", provider=row["provider"])
        if row["status"] == "RESETTING":
            raise BeingReset(BeingReset.__doc__)
        with calling(self._at_work.mask, "start"):
            self._at_work.read(row)
        shown = ConnectorID(row["provider"], row["uuid"])
        async with self._database.transaction() as db:
            if not await installations.reset(db, row["id"], self._tending.tender):
                now = await installations.load(self._database, row["id"])
                gone = now is None or now["status"] == "UNINSTALLING"
                raise NotInstalled(NotInstalled.__doc__) if gone else BeingReset(BeingReset.__doc__)
            await tell(db, EventType.CONNECTOR_RESET, row["id"], shown, uuid4())
        log.info("Resetting connector", connectorID=shown.encode(), name=row["name"])
        self._told()
        self._tending.go_on(row["id"])

    async def find(self, provider: str, connector: ConnectorID | None) -> Row:
        """The row of an installation, by id or because there is just one of its provider.

        Raises:
            NotInstalled, Ambiguous: as they say.
        """
        if connector is not None:
            row = await installations.get(self._database, connector.reference)
            if row is None or not row["provider"] == provider.upper() == connector.provider.upper():
                raise NotInstalled(NotInstalled.__doc__)
            return row
        rows = [
            row for row in await installations.listed(self._database) if row["provider"] == provider.upper()
        ]
        if not rows:
            self._registry.get(provider)
        if len(rows) != 1:
            raise Ambiguous(f"{Ambiguous.__doc__} There are {len(rows)} of {provider.upper()[:50]}.")
        return rows[0]

    def config_of(self, row: Row) -> dict[str, Any]:
        """The config of an installation, secrets masked; all of it where its connector is not here."""
        return self._at_work.shown(row)

    async def listed(self) -> list[Row]:
        """Rows of all that are installed, oldest first."""
        return await installations.listed(self._database)

    async def _take_name(
        self, uuid: UUID, provider: str, default: str, config: ConnectorConfig, max_tasks: int
    ) -> int:
        wanted = config.name.strip()
        number = 1
        while True:
            name = wanted or (default if number == 1 else f"{default}-{number}")
            named = config.model_copy(update={"name": name})
            try:
                async with self._database.transaction() as db:
                    return await installations.insert(
                        db, uuid=uuid, provider=provider, name=name, tender=self._tending.tender,
                        config=self._at_work.seal(uuid, named), max_tasks=max_tasks,
                    )  # fmt: skip
            except UniqueViolation:
                if wanted:
                    raise NameTaken(NameTaken.__doc__) from None
                taken = await installations.names(self._database)
                number = next(n for n in range(2, len(taken) + 3) if f"{default}-{n}" not in taken)

    async def _open(self, key: int, log: Any) -> Installation:
        """Let the connector schedule its tasks, and open it to the outside with them."""
        row = await installations.load(self._database, key)
        if row is None:
            raise TakenOver(TakenOver.__doc__)
        with calling(self._at_work.mask, "install"):
            installation = self._at_work.read(row)
            planner = Planner(self._database, self._engine, Holder(key, row["uuid"]))
            context = InstallationContext(installation, planner, log)
            await limited(installation.connector.check(context))
            await limited(installation.connector.install(context))
        try:
            async with self._database.transaction() as db:
                await planner.write(db, plans=planner.waiting)
                if not await installations.installed(db, key, self._tending.tender):
                    raise TakenOver(TakenOver.__doc__)
                await tell(db, EventType.CONNECTOR_INSTALLED, key, installation.id)
        except Superseded:
            raise TakenOver(TakenOver.__doc__) from None
        return installation
