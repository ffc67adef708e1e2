"""``paymux serve``: the whole service in one process, on an embedded database unless told otherwise."""

import asyncio
import contextlib
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from paymux import bootstrap, settings
from paymux.cli.running import run, stop_signal

# Clients that hold on to a connection after that long are cut off at shutdown.
_CLOSING = 5
# Connections that wait to be accepted.
_BACKLOG = 2048

_TRY = """\
Try next:
  mkdir -p /tmp/payments && curl -X POST {url}/connectors/example -H 'Content-Type: application/json' -d '{{"directory": "/tmp/payments"}}'
  echo '{{"created_at": "2019-05-15T14:00:00.000Z", "reference": "test", "amount": 100, "asset": "EUR/2", "type": "TRANSFER", "status": "SUCCEEDED", "scheme": "visa"}}' > /tmp/payments/test.json
  curl {url}/payments"""  # noqa: E501 - commands to be copied whole


class _Server(uvicorn.Server):
    """Leaves signals to the command, which stops more than the server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


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
    """Serve the API, run tasks and tell events, on an embedded PostgreSQL or on PAYMUX_DATABASE_URL."""
    given = {"host": host, "port": port, "data_dir": data_dir}
    chosen = settings.read().model_copy(update={k: v for k, v in given.items() if v is not None})
    # Before anything is started: an address in use is the commonest mistake.
    with _listen(chosen.host, chosen.port) as listener, bootstrap.ground(chosen) as ground:
        run(_serve(chosen, ground, listener, worker=not no_worker))


def _listen(host: str, port: int) -> socket.socket:
    try:
        ((family, _, _, _, address), *_) = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        typer.echo(
            f"paymux: cannot listen on {host}:{port}: {why}. Choose another --host or --port.", err=True
        )
        raise typer.Exit(1) from None
    if not ipaddress.ip_address(address[0]).is_loopback:
        typer.echo(
            f"paymux: WARNING: listening on {host} without authentication: whoever reaches it can"
            " read and change everything. Put a proxy that authenticates in front, or listen on 127.0.0.1.",
            err=True,
        )
    return listener


async def _serve(
    chosen: settings.Settings, ground: bootstrap.Ground, listener: socket.socket, *, worker: bool
) -> None:
    stop = stop_signal()
    async with bootstrap.service(chosen, ground, worker=worker) as service:
        config = uvicorn.Config(
            service.app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_CLOSING,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        stopped = asyncio.create_task(stop.wait())
        try:
            while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            if server.started:
                _greet(chosen.host, listener.getsockname()[1])
            await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            server.should_exit = True
            stopped.cancel()
            await serving


def _greet(host: str, port: int) -> None:
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    typer.echo(f"paymux is ready at {url}")
    typer.echo(_TRY.format(url=url))
    sys.stdout.flush()
