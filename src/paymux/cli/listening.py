"""What the commands that answer HTTP share: an address, and a server on it."""

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import typer
import uvicorn

from paymux.api.observed import App

# Clients that hold on to a connection after that long are cut off at shutdown.
_CLOSING = 5
# Connections that wait to be accepted.
_BACKLOG = 2048
# Seconds. Clients keep an idle connection for 5 to 60: where we close it first, a request may be on its way.
_IDLE = 75
# Bytes of an address with its headers: a filter of the longest kind fits, with every character escaped.
_HEAD = 64 * 1024


class _Server(uvicorn.Server):
    """Leaves signals to the command, which stops more than the server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int, otherwise: str = "Choose another --host or --port.") -> socket.socket:
    """Take an address, or end with a sentence that says why not and what to do ``otherwise``."""
    try:
        ((family, _, _, _, address), *_) = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        typer.echo(f"paymux: cannot listen on {host}:{port}: {why}. {otherwise}", err=True)
        raise typer.Exit(1) from None
    return listener


def is_open(listener: socket.socket) -> bool:
    """Whether others than this machine can reach it."""
    return not ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def url_of(host: str, listener: socket.socket) -> str:
    """How to ask it."""
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(app: App, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Answer requests until the end of the block; the task is done before that if the server fails."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        # The one whose limit is ours to set, whichever others happen to be installed.
        http="h11",
        h11_max_incomplete_event_size=_HEAD,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=_CLOSING,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield task
    finally:
        server.should_exit = True
        await task
