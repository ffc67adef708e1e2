"""Install and uninstall: to the outside each happens at once or not at all, whatever crashes in between.

An install takes its name first, then lets the connector schedule its tasks, and opens to the outside
in the transaction that commits those. An uninstall closes first, from then on no run can commit
anything, and deletes in batches afterwards. What a crash cuts short is finished by ``tidy``.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog

from paymux.domain.ids import ConnectorID
from paymux.events.types import EventType
from paymux.ingestion.ingester import Holder
from paymux.runtime.contexts import InstallationContext
from paymux.runtime.engine import Engine
from paymux.runtime.execution import contained
from paymux.runtime.installations import Installation, Installations
from paymux.runtime.registry import Registry
from paymux.runtime.scheduling import Planner
from paymux.sdk.config import ConnectorConfig, load, masked
from paymux.storage import events, installations, tasks
from paymux.storage.database import LOST, Connection, Database, DatabaseError, Row, UniqueViolation

# Between looks at whether the events of an installation have been told, before it is deleted.
_LOOK = 0.5
# An install that takes longer has died.
_INSTALL_MAX = timedelta(minutes=30)
# Somebody waits for it, and wants it gone.
_CLEAN_UP_MAX = timedelta(minutes=1)


class NameTaken(ValueError):
    """An installation of this name exists. Choose another name, or leave it out to get a numbered one."""


class NotInstalled(LookupError):
    """There is no such installation. GET /connectors lists those there are."""


class Ambiguous(LookupError):
    """There is not exactly one installation of this connector. Name one by its connectorID."""


class Installing:
    """Installs and uninstalls connectors."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        at_work: Installations,
        engine: Engine,
        told: Callable[[], None],
    ) -> None:
        self._database = database
        self._registry = registry
        self._at_work = at_work
        self._engine = engine
        self._told = told
        self._deleting: set[asyncio.Task[None]] = set()

    async def install(self, provider: str, raw: Mapping[str, Any] | None) -> ConnectorID:
        """Install a connector.

        Raises:
            UnknownConnector, BadConfig, NameTaken: nothing was installed.
            Exception: whatever the connector's ``install`` raised; nothing was installed.
        """
        found = self._registry.get(provider)
        config = load(found.config_class, raw)
        log = structlog.get_logger().bind(component="connector-manager", provider=found.provider())
        log.info("Install connector", config=masked(config))
        uuid = uuid4()
        key = await self._take_name(uuid, found.provider(), found.name, config, found.max_tasks)
        try:
            installation = await self._open(key, log)
        except BaseException:
            await self._leave(key, uuid, found.provider())
            self._delete_behind(key)
            raise
        log.info("Connector installed", connectorID=installation.id.encode(), name=installation.name)
        self._told()
        return installation.id

    async def uninstall(self, provider: str, connector: ConnectorID | None) -> None:
        """Uninstall; its data is deleted afterwards, in the background.

        Raises:
            NotInstalled, Ambiguous: nothing was changed.
        """
        row = await self.find(provider, connector)
        log = structlog.get_logger().bind(component="connector-manager", provider=row["provider"])
        shown = ConnectorID(row["provider"], row["uuid"]).encode()
        log.info("Uninstalling connector", connectorID=shown)
        log.info("Stopping scheduler...", connectorID=shown)
        try:
            with contained():
                installation = self._at_work.read(row)
                planner = Planner(self._database, self._engine, Holder(row["id"], row["uuid"]))
                async with asyncio.timeout(_CLEAN_UP_MAX.total_seconds()):
                    await installation.connector.uninstall(InstallationContext(installation, planner, log))
        except Exception as error:  # noqa: BLE001 - somebody who wants it gone must get it gone
            log.warning("The connector could not clean up behind itself", error=str(error))
        if not await self._leave(row["id"], row["uuid"], row["provider"]):
            raise NotInstalled(NotInstalled.__doc__)
        self._told()
        log.info("Connector uninstalled", connectorID=shown)
        self._delete_behind(row["id"])

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
        self._registry.get(provider)
        rows = [
            row for row in await installations.listed(self._database) if row["provider"] == provider.upper()
        ]
        if len(rows) != 1:
            raise Ambiguous(f"{Ambiguous.__doc__} There are {len(rows)} of {provider.upper()[:50]}.")
        return rows[0]

    def config_of(self, row: Row) -> dict[str, Any]:
        """The config of an installation, secrets masked."""
        return masked(self._at_work.read(row).connector.config)

    async def listed(self) -> list[Row]:
        """Rows of all that are installed, oldest first."""
        return await installations.listed(self._database)

    async def tidy(self, *, alone: bool) -> None:
        """Finish what a crash cut short: half an install is undone, half an uninstall completed.

        Unless we are alone on the database, a young install may be somebody's who is still at it.
        """
        for row in await installations.unfinished(self._database):
            age = datetime.now(UTC) - row["created_at"]
            if alone or row["status"] == "UNINSTALLING" or age > _INSTALL_MAX:
                await self._leave(row["id"], row["uuid"], row["provider"])
                self._delete_behind(row["id"])

    async def close(self) -> None:
        """Stop deleting; the rest is done after the next start."""
        for deleting in list(self._deleting):
            deleting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await deleting

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
                        db, uuid=uuid, provider=provider, name=name,
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
        assert row is not None  # noqa: S101 - written just before
        with contained():
            installation = self._at_work.read(row)
            planner = Planner(self._database, self._engine, Holder(key, row["uuid"]))
            await installation.connector.install(InstallationContext(installation, planner, log))
        async with self._database.transaction() as db:
            await planner.write(db, plans=planner.waiting)
            await installations.installed(db, key)
            await self._tell(db, EventType.CONNECTOR_INSTALLED, key, installation.id)
        return installation

    async def _leave(self, key: int, uuid: UUID, provider: str) -> bool:
        """Close it to the outside: from here on no run can commit anything for it."""
        row = await installations.load(self._database, key)
        async with self._database.transaction() as db:
            left = await installations.leave(db, key)
            if left:
                await tasks.stop_all(db, key)
                if row is not None and row["status"] == "INSTALLED":
                    await self._tell(db, EventType.CONNECTOR_UNINSTALLED, key, ConnectorID(provider, uuid))
        return left

    async def _tell(self, db: Connection, kind: EventType, key: int, connector: ConnectorID) -> None:
        await events.insert(
            db, installation=key, type=kind, object=connector.reference, part=connector.reference,
            facts={"connectorId": connector.encode(), "provider": connector.provider},
        )  # fmt: skip

    def _delete_behind(self, key: int) -> None:
        deleting = asyncio.create_task(self._delete(key))
        self._deleting.add(deleting)
        deleting.add_done_callback(self._deleting.discard)

    async def _delete(self, key: int) -> None:
        """Delete what it brought in, once the sinks know of it."""
        while True:
            try:
                if await installations.untold(self._database, key):
                    self._told()
                    await asyncio.sleep(_LOOK)
                elif not await installations.delete_batch(self._database, key):
                    self._at_work.forget(key)
                    return
            except (*LOST, DatabaseError) as error:
                # Without the database, or beside a process that deletes the same: in the end it is gone.
                structlog.get_logger().debug("Deleting goes on", error=str(error))
                await asyncio.sleep(_LOOK)
