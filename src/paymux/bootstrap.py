"""Wiring: the one place where all rooms meet."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
import structlog

from paymux import __version__
from paymux.api.app import application, watched
from paymux.api.edge import BadEdge, Edge
from paymux.api.edge import edge as read_edge
from paymux.api.observed import App
from paymux.api.paging import Cursors
from paymux.api.requests import Parts
from paymux.domain.mask import Mask
from paymux.events.sinks.addresses import addresses
from paymux.events.sinks.opening import opened
from paymux.events.telling import Telling
from paymux.ingestion.ingester import Ingester
from paymux.logs import configure
from paymux.observe import traces
from paymux.observe.instruments import Instruments
from paymux.observe.metrics import Gauge, Metrics
from paymux.runtime.apart import Apart
from paymux.runtime.dispatcher import AT_ONCE, Dispatcher, Times
from paymux.runtime.engine import MONEY, Engine, PgQueuerEngine
from paymux.runtime.installations import Installations
from paymux.runtime.keeping import kept_up
from paymux.runtime.registry import Registry
from paymux.runtime.worker import Worker
from paymux.services.banking import Banking
from paymux.services.checkup import Checkup
from paymux.services.configuring import Configuring
from paymux.services.forwarding import Forwarding
from paymux.services.installing import Installing
from paymux.services.means import Means
from paymux.services.operating import Operating
from paymux.services.pooling import Pooling
from paymux.services.recording import Recording
from paymux.services.replaying import Replaying
from paymux.services.resealing import Resealed, reseal
from paymux.services.tending import Tending
from paymux.services.transferring import Transferring
from paymux.settings import BadSettings, Settings, variable
from paymux.storage.database import Database
from paymux.storage.embedded import EmbeddedPostgres
from paymux.storage.installations import any_sealed
from paymux.storage.schema import migrate
from paymux.storage.vault import BadKeys, Vault, key_file, parse_keys


class Ground(msgspec.Struct, frozen=True):
    """What a service stands on: where its database is, the keys to its secrets, and what to mask in logs."""

    url: str
    keys: list[bytes]
    mask: Mask
    # Nobody else works on this database: whatever the engine thinks is being run has died.
    alone: bool


@contextmanager
def ground(settings: Settings) -> Iterator[Ground]:
    """Start the embedded database, or take the server that the settings name; set up the log.

    Call it before the event loop runs.

    Raises:
        EmbeddedError, BadKeys: the message tells the operator what to do.
    """
    mask = Mask()
    configure(settings.log_format, settings.log_level, mask)
    given = settings.encryption_keys.get_secret_value() if settings.encryption_keys else None
    if settings.database_url is not None:
        if given is None:
            raise BadKeys(
                "Set PAYMUX_ENCRYPTION_KEYS when PAYMUX_DATABASE_URL is set: every process on one database"
                " needs the same keys. Make one with: openssl rand -base64 32"
            )
        url = settings.database_url.get_secret_value()
        mask.add({password} if (password := urlsplit(url).password) else ())
        yield Ground(url, parse_keys(given), mask, alone=False)
        return
    server = EmbeddedPostgres(settings.data_dir)
    with server as url:
        log = structlog.get_logger().bind(component="embedded-postgres")
        for directory in server.opened:
            log.warning(
                "Let the database's account pass through a directory (chmod o+x)", directory=str(directory)
            )
        mask.add({password} if (password := urlsplit(url).password) else ())
        if given is not None:
            keys = parse_keys(given)
        else:
            # A new key where configs are sealed already would only hide that the old one is gone.
            new = not asyncio.run(any_sealed(url))
            keys = key_file(settings.data_dir / "encryption-keys", create=new)
        yield Ground(url, keys, mask, alone=True)


def edge(settings: Settings) -> Edge:
    """What stands between clients and the service.

    Raises:
        BadSettings: what is set of it cannot be used, or does not go together.
    """
    tokens = settings.api_tokens.get_secret_value() if settings.api_tokens else ""
    try:
        return read_edge(
            auth=settings.auth, api_tokens=tokens, issuers=settings.auth_issuers or "",
            audience=settings.auth_audience or "", cors_origins=settings.cors_origins or "",
            body_seconds=settings.body_timeout, answer_seconds=settings.answer_timeout,
        )  # fmt: skip
    except BadEdge as error:
        raise BadSettings({variable(error.setting): str(error)}) from None


async def migrated(ground: Ground) -> list[str]:
    """Bring the database to this version's schema; returns what was applied."""
    engine = PgQueuerEngine(ground.url, heartbeat=timedelta(seconds=5), concurrency=1)
    database = await Database.open(ground.url, size=2)
    try:
        return await migrate(database, engine.prepare)
    finally:
        await database.close()


async def resealed(ground: Ground) -> Resealed:
    """Seal with the first key what was sealed with another."""
    database = await Database.open(ground.url, size=1)
    try:
        return await reseal(database, Vault(ground.keys))
    finally:
        await database.close()


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A running service, and its parts."""

    app: App
    worker: Worker
    # It works in a loop apart.
    dispatcher: Dispatcher
    apart: Apart
    telling: Telling
    engine: Engine
    database: Database
    # Where losing the last moment with the server is harmless, the disk is not waited for.
    bookkeeping: Database
    # For moving money, in the loop apart.
    purse: Database
    # What relays work with.
    outbox: Database
    installing: Installing
    configuring: Configuring
    replaying: Replaying
    banking: Banking
    forwarding: Forwarding
    tending: Tending
    operating: Operating
    transferring: Transferring
    checkup: Checkup
    instruments: Instruments
    # Health and metrics alone, for a process that answers nothing else.
    watched: App


# Connections for moving money: each order takes one for a few milliseconds at a time.
_PURSE = 4
# Seconds that closing takes at the most where nothing is in its way.
_PARTING = 6.0
# How long whoever installs, resets or removes may be silent before others take it over; in heartbeats.
_LEASE = 3


@asynccontextmanager
async def service(
    settings: Settings,
    ground: Ground,
    *,
    worker: bool,
    registry: Registry | None = None,
    engine_of: Callable[..., Engine] = PgQueuerEngine,
    instruments: Instruments | None = None,
) -> AsyncIterator[Service]:
    """Run workers and relays in the background; stop them in good order at the end.

    ``registry`` is of the connectors there are, unless told otherwise; ``instruments`` are as the
    environment asks for them.
    """
    log = structlog.get_logger().bind(component="connector-manager")
    registry = await _prepared(ground, registry or Registry(), log)
    heartbeat = timedelta(seconds=settings.heartbeat)
    made = await _wired(
        settings,
        ground,
        registry,
        (
            engine_of(ground.url, heartbeat=heartbeat, concurrency=settings.run_concurrency),
            engine_of(ground.url, heartbeat=heartbeat, concurrency=AT_ONCE, lane=MONEY),
        ),
        instruments or Instruments(Metrics(__version__), _traces(log)),
    )
    background: list[asyncio.Task[None]] = []
    over = asyncio.Event()
    try:
        if worker:
            await _restore(made, ground, log)
            background = _begin(
                over, worker=made.worker.run, dispatcher=lambda: made.apart.do(made.dispatcher.run()),
                telling=made.telling.run, tending=made.tending.run,
            )  # fmt: skip
        yield made
    finally:
        log.info("Stopping scheduler...", running=made.worker.running)
        over.set()
        grace = timedelta(seconds=settings.grace)
        money = made.apart.last(made.dispatcher.stop(grace), settings.grace + _PARTING)
        if not (await asyncio.gather(money, made.worker.stop(grace)))[0]:
            log.warning("A connector blocks where money is moved; its orders are looked up by others")
        made.telling.stop()
        await made.replaying.close()
        await made.tending.close()
        await _end(background, settings.grace)
        await made.outbox.close()
        await made.bookkeeping.close()
        await made.apart.last(made.purse.close(), _PARTING)
        await made.apart.close()
        await made.database.close()
        await asyncio.to_thread(made.instruments.traces.close)
        log.info("Stopped")


async def _wired(
    settings: Settings,
    ground: Ground,
    registry: Registry,
    lanes: tuple[Engine, Engine],
    instruments: Instruments,
) -> Service:
    """Make every part and give it what it works with."""
    engine, money = lanes
    database = await Database.open(ground.url, size=settings.pool_size)
    bookkeeping = await Database.open(ground.url, size=settings.pool_size, synchronous_commit="off")
    sinks = addresses(settings.sinks.get_secret_value())
    ground.mask.add(secret for one in sinks for secret in one.secrets)
    # Connections of its own: each relay that leads keeps one.
    outbox = await Database.open(ground.url, size=len(sinks) + 1)
    telling = Telling(
        outbox, {one.name: opened(one) for one in sinks}, retention=settings.event_retention, mask=ground.mask
    )
    vault = Vault(ground.keys)
    at_work = Installations(database, registry, vault, ground.mask)
    ingester = Ingester(database, telling.told, instruments)
    means = Means(database, registry, at_work, engine, telling.told)
    tending = Tending(means, lease=_LEASE * timedelta(seconds=settings.heartbeat))
    installing = Installing(means, tending)
    configuring, replaying = Configuring(means, installing), Replaying(means, ingester)
    banking = Banking(database, vault, telling.told)
    forwarding = Forwarding(means, installing, banking, ingester)
    operating, checkup = Operating(database, engine), Checkup(database, registry)
    staff = Worker(
        database=database, bookkeeping=bookkeeping, engine=engine, installations=at_work,
        ingester=ingester, mask=ground.mask, instruments=instruments, retention=settings.run_retention,
    )  # fmt: skip
    # A loop and connections of its own: at full load, pages wait for the others.
    apart = Apart("money")
    purse = await apart.do(Database.open(ground.url, size=_PURSE))
    told = apart.told(telling.told)
    dispatcher = Dispatcher(
        database=purse, engine=money, tasks=engine,
        installations=Installations(purse, registry, vault, ground.mask),
        ingester=Ingester(purse, told, instruments), mask=ground.mask, told=told,
        times=Times(settings.look_up_schedule, settings.heartbeat),
    )  # fmt: skip
    transferring = Transferring(means, money)
    parts = Parts(
        database=database, registry=registry, installing=installing, configuring=configuring,
        replaying=replaying, pooling=Pooling(database, telling.told), operating=operating, checkup=checkup,
        recording=Recording(means, installing, ingester), transferring=transferring,
        banking=banking, forwarding=forwarding, instruments=instruments, engine=engine,
        cursors=Cursors(hashlib.blake2b(b"cursors", key=ground.keys[0], digest_size=32).digest()),
        version=__version__, max_body_bytes=settings.max_body_bytes,
    )  # fmt: skip
    pools = {"outbox": outbox, "data": database, "bookkeeping": bookkeeping, "money": purse}
    _watch(instruments.metrics, pools, staff)
    return Service(
        app=application(parts, edge(settings)), watched=watched(parts), worker=staff,
        dispatcher=dispatcher, apart=apart, telling=telling, engine=engine, database=database,
        bookkeeping=bookkeeping, outbox=outbox, purse=purse, installing=installing,
        configuring=configuring, replaying=replaying, banking=banking, forwarding=forwarding, tending=tending,
        operating=operating, checkup=checkup, transferring=transferring, instruments=instruments,
    )  # fmt: skip


async def _prepared(ground: Ground, registry: Registry, log: Any) -> Registry:
    """Bring the database up to date, and say which connectors cannot be used."""
    for name in await migrated(ground):
        log.info("Database migrated", migration=name)
    for where, why in registry.broken.items():
        log.error("Connector could not be loaded", connector=where, error=why)
    return registry


def _traces(log: Any) -> traces.Traces:
    """Traces where the standard variables send them."""
    if not traces.configured(os.environ):
        return traces.Traces()
    try:
        return traces.exporting(__version__)
    except traces.ExtraMissing as missing:
        log.warning("Traces are not sent", reason=str(missing))
        return traces.Traces()


def _watch(metrics: Metrics, pools: Mapping[str, Database], staff: Worker) -> None:
    """Let metrics read what this process holds at the moment."""
    states = ("used", "idle")
    metrics.gauge(
        lambda: Gauge(
            "paymux_database_connections",
            "Connections to the database.",
            ("pool", "state"),
            [
                ((name, state), count)
                for name, pool in pools.items()
                for state, count in zip(states, pool.connections, strict=False)
            ],
        )
    )
    metrics.gauge(
        lambda: Gauge(
            "paymux_database_connections_max",
            "Connections to the database that there may be.",
            ("pool",),
            [((name,), pool.connections[-1]) for name, pool in pools.items()],
        )
    )
    metrics.gauge(
        lambda: Gauge("paymux_runs_running", "Runs under way in this process.", (), [((), staff.running)])
    )


def _begin(over: asyncio.Event, **works: Callable[[], Awaitable[None]]) -> list[asyncio.Task[None]]:
    """Do all of these in the background until all is over."""
    return [asyncio.create_task(kept_up(what, work, over.is_set), name=what) for what, work in works.items()]


async def _end(background: list[asyncio.Task[None]], grace: float) -> None:
    """Let them come to their end for a while."""
    if background:
        await asyncio.wait(background, timeout=grace)
    for task in background:
        task.cancel()


async def _restore(made: Service, ground: Ground, log: Any) -> None:
    """Say what goes on where it left off; the engine has it all."""
    if ground.alone:
        await made.engine.reclaim()
        await reseal(made.database, Vault(ground.keys))
    await made.telling.declare()
    log.info("Restoring state for all connectors")
    for row in await made.installing.listed():
        log.info("Restoring state for connector", provider=row["provider"], name=row["name"])
    await made.tending.tidy(alone=ground.alone)
