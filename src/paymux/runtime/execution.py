"""Runs a connector's code, on the loop or in a thread of its own, and ends it when told.

Whatever the code does, this comes to an end with a result or an ``Exception``: code that ignores being
cancelled is left behind (the database refuses its pages), and what is not for code to raise, such as
SystemExit or a cancellation that nobody asked for, is a defect like any other.
"""

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextvars import copy_context
from datetime import timedelta
from threading import Thread
from typing import Any

from paymux.runtime.contexts import RunContext, ThreadContext

Call = Callable[[Any], Awaitable[None] | None]
Start = Callable[[Call, RunContext], Awaitable[None]]

# Code that was cancelled has this long to clean up before it is left behind.
UNWIND = 3.0


class Escaped(Exception):
    """The connector's code raised what is not for it to raise."""


class HandedBack(Exception):
    """The worker is going away; another one runs the task again."""


class Execution:
    """The code of one run at work. It starts at once; ``within`` waits for its end."""

    def __init__(self, call: Call, context: RunContext, *, on_loop: bool) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[BaseException | None] = self._loop.create_future()
        self._why: Exception | None = None
        start = _on_loop if on_loop else _in_thread
        self._work = self._loop.create_task(_guarded(start, call, context))
        self._work.add_done_callback(lambda _: self._end())

    async def within(self, limit: timedelta) -> None:
        """Wait for the end; raises what the code raised, or why it was stopped."""
        late = TimeoutError(f"The task ran longer than its limit of {limit}.")
        timer = self._loop.call_later(limit.total_seconds(), self.stop, late)
        try:
            error = await self._over
        except asyncio.CancelledError:
            self.stop(HandedBack())
            raise
        finally:
            timer.cancel()
        if error is not None:
            raise error

    def leave(self) -> None:
        """Hand the run back when it has next committed a state; one that then ends by itself has ended."""
        self._context.at_checkpoint = lambda: self._loop.call_soon(self.stop, HandedBack())

    def stop(self, why: Exception, unwind: float = UNWIND) -> None:
        """Cancel the code; the run then ends with ``why``, whatever the code makes of it."""
        if self._over.done() or self._work.done() or self._why is not None:
            return
        self._why = why
        self._context.cancelled = True
        self._work.cancel()
        self._loop.call_later(unwind, self._end)

    def _end(self) -> None:
        error: BaseException | None = self._why
        if self._work.done() and not self._work.cancelled():
            # Looked at in any case, or it is reported as never looked at.
            raised = self._work.exception()
            error = error or (raised if isinstance(raised, Exception | None) else _escaped(raised))
        elif error is None:
            error = Escaped("The connector's code cancelled itself.")
        if not self._over.done():
            self._over.set_result(error)


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Around a connector's code: only an ``Exception``, or a cancellation that was asked for, gets out."""
    try:
        yield
    except (Exception, GeneratorExit):
        raise
    except asyncio.CancelledError:
        own = asyncio.current_task()
        if own is None or own.cancelling():
            raise
        raise Escaped("The connector's code raised CancelledError, which nobody had asked for.") from None
    except BaseException as error:
        raise _escaped(error) from error


def _escaped(error: BaseException) -> Escaped:
    return Escaped(f"The connector's code raised {type(error).__name__}({error}).")


async def _guarded(start: Start, call: Call, context: RunContext) -> None:
    with contained():
        await start(call, context)


async def _on_loop(call: Call, context: RunContext) -> None:
    made = call(context)
    if made is not None:
        await made


async def _in_thread(call: Call, context: RunContext) -> None:
    # A thread of its own: one that hangs takes no place in a pool, and a daemon keeps no process alive.
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[tuple[Awaitable[None] | None, BaseException | None]] = loop.create_future()

    threaded = ThreadContext(context, loop)

    def work() -> None:
        made, failed = None, None
        try:
            made = call(threaded)
        except BaseException as error:  # noqa: BLE001 - handed over to the loop whatever it is
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it whoever waited
            loop.call_soon_threadsafe(ended.set_result, (made, failed))

    Thread(target=copy_context().run, args=(work,), name=f"task {context.task_id}", daemon=True).start()
    try:
        made, failed = await asyncio.shield(ended)
    except asyncio.CancelledError:
        # A thread cannot be stopped; ``ctx.cancelled`` and a refused page tell it.
        await asyncio.wait({ended})
        raise
    if failed is not None:
        raise failed
    if inspect.isawaitable(made):
        await made
