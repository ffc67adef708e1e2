"""Runs the service, or a part of it, in this process; other commands ask one that runs.

All rooms meet here, and importing them takes most of a second: whoever needs this module imports it where
it is needed.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import structlog
import typer

from paymux import bootstrap, settings
from paymux.cli.asking import Failed
from paymux.cli.listening import is_open, listen, url_of
from paymux.cli.running import run, serving, stop_signal
from paymux.events.sinks.brokers import ExtraMissing
from paymux.services.resealing import Resealed
from paymux.settings import BadSettings
from paymux.storage.database import DatabaseError
from paymux.storage.embedded_errors import EmbeddedError
from paymux.storage.schema import DatabaseTooNew
from paymux.storage.vault import VaultError

_TRY = """\
Try next:
  mkdir -p /tmp/payments && curl -X POST {url}/connectors/example -H 'Content-Type: application/json' -d '{{"directory": "/tmp/payments"}}'
  echo '{{"created_at": "2019-05-15T14:00:00.000Z", "reference": "test", "amount": 100, "asset": "EUR/2", "type": "TRANSFER", "status": "SUCCEEDED", "scheme": "visa"}}' > /tmp/payments/test.json
  curl {url}/payments
Or connect a provider that misbehaves on request: paymux sandbox"""  # noqa: E501 - commands to be copied whole

_NOT_OPEN = (
    "paymux: will not listen on {host} without authentication: whoever reaches it could read and change"
    " everything. Say who may: PAYMUX_API_TOKENS takes what paymux token new prints, and PAYMUX_AUTH_ISSUERS"
    " the address of your login. Where a proxy in front decides, PAYMUX_AUTH=off says so."
)


@contextlib.contextmanager
def _mendable() -> Iterator[None]:
    """What the operator can mend becomes a sentence."""
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads what we say, and no sentence would reach them
    except (BadSettings, ExtraMissing, EmbeddedError, VaultError, DatabaseTooNew) as error:
        raise Failed(str(error)) from error
    except (OSError, DatabaseError) as error:
        raise Failed(f"the database cannot be used: {error}. See PAYMUX_DATABASE_URL.") from error


@_mendable()
def serve(*, host: str | None, port: int | None, data_dir: Path | None, worker: bool) -> None:
    """Do what ``paymux serve`` promises; None leaves it to the settings."""
    given = {"host": host, "port": port, "data_dir": data_dir}
    chosen = settings.read().model_copy(update={k: v for k, v in given.items() if v is not None})
    # Before anything is started: an address in use is the commonest mistake.
    with listen(chosen.host, chosen.port) as listener:
        asks = bootstrap.edge(chosen).gate.asks
        if not asks and chosen.auth is None and is_open(listener):
            typer.echo(_NOT_OPEN.format(host=chosen.host), err=True)
            raise typer.Exit(1)
        with bootstrap.ground(chosen) as ground:
            if not asks:
                log = structlog.get_logger().bind(component="auth", host=chosen.host)
                log.warning("NO AUTHENTICATION: whoever reaches this address can read and change everything")
            run(_serve(chosen, ground, listener, worker=worker))


@_mendable()
def work() -> None:
    """Do what ``paymux worker`` promises."""
    chosen = settings.read()
    if chosen.database_url is None:
        typer.echo(
            "paymux: a worker needs PAYMUX_DATABASE_URL; on the embedded database, serve is the worker.",
            err=True,
        )
        raise typer.Exit(1)
    with contextlib.ExitStack() as stack:
        listener = None
        if chosen.metrics_port is not None:
            listener = stack.enter_context(
                listen(chosen.host, chosen.metrics_port, "Choose another PAYMUX_METRICS_PORT.")
            )
        run(_work(chosen, stack.enter_context(bootstrap.ground(chosen)), listener))


@_mendable()
def migrate() -> list[str]:
    """Bring the database to this version's schema; returns what was applied."""
    with bootstrap.ground(settings.read()) as ground:
        return asyncio.run(bootstrap.migrated(ground))


@_mendable()
def reseal() -> Resealed:
    """Seal with the first key what others have sealed, on a database of this version's schema."""
    with bootstrap.ground(settings.read()) as ground:
        asyncio.run(bootstrap.migrated(ground))
        return asyncio.run(bootstrap.resealed(ground))


async def _serve(
    chosen: settings.Settings, ground: bootstrap.Ground, listener: socket.socket, *, worker: bool
) -> None:
    stop = stop_signal()
    async with (
        bootstrap.service(chosen, ground, worker=worker) as service,
        serving(service.app, listener) as server,
    ):
        if not server.done():
            _greet(url_of(chosen.host, listener))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({server, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()


def _greet(url: str) -> None:
    typer.echo(f"paymux is ready at {url}")
    typer.echo(_TRY.format(url=url))
    sys.stdout.flush()


async def _work(chosen: settings.Settings, ground: bootstrap.Ground, listener: socket.socket | None) -> None:
    stop = stop_signal()
    async with (
        bootstrap.service(chosen, ground, worker=True) as service,
        contextlib.AsyncExitStack() as stack,
    ):
        where = ""
        if listener is not None:
            await stack.enter_async_context(serving(service.watched, listener))
            where = f"; its metrics are at {url_of(chosen.host, listener)}/metrics"
        typer.echo(f"paymux worker is ready{where}")
        await stop.wait()
