"""What the commands that stay share: a fast loop, being told to stop, and a server."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
import uvloop

from paymux.api.observed import App

# Plain functions of connectors run in threads; the default of a few would make them queue.
THREADS = 64
# A page is thousands of objects that go away by themselves. Looking for cycles among them as often as
# Python does out of the box was a third of the time in which a page that brings nothing new is read.
GARBAGE = (50_000, 20, 100)
# Clients that hold on to a connection after that long are cut off at shutdown.
_CLOSING = 5
# Seconds. Clients keep an idle connection for 5 to 60: where we close it first, a request may be on its way.
_IDLE = 75
# Bytes of an address with its headers: a filter of the longest kind fits, with every character escaped.
_HEAD = 64 * 1024


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run on a fast loop."""
    gc.freeze()  # what is imported stays
    gc.set_threshold(*GARBAGE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_default_executor(ThreadPoolExecutor(THREADS, "paymux"))
        runner.run(main)


def stop_signal() -> asyncio.Event:
    """Set by SIGINT (Ctrl-C) and SIGTERM; a second one ends the process the hard way."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told, number)
    return stop


@contextlib.asynccontextmanager
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


class _Server(uvicorn.Server):
    """Leaves signals to the command, which stops more than the server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
