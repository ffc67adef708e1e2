"""What the commands that stay share: running until they are told to stop."""

import asyncio
import gc
import signal
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvloop

# Plain functions of connectors run in threads; the default of a few would make them queue.
THREADS = 64
# A page is thousands of objects that go away by themselves. Looking for cycles among them as often as
# Python does out of the box was a third of the time in which a page that brings nothing new is read.
GARBAGE = (50_000, 20, 100)


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
