"""``paymux serve``: the whole service in one process, on an embedded database unless told otherwise."""

import asyncio
import socket
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

from paymux import bootstrap, settings
from paymux.cli.listening import is_open, listen, serving, url_of
from paymux.cli.running import run, stop_signal

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


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.  [default: 8080]")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the embedded database lives.  [default: ./paymux-data]")
    ] = None,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Only answer requests; run no tasks.")
    ] = False,
) -> None:
    """Answer requests, run tasks and tell events.

    On an embedded PostgreSQL in the data directory, or on the server that PAYMUX_DATABASE_URL names.
    """
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
            run(_serve(chosen, ground, listener, worker=not no_worker))


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
