"""Keeps what works in the background at work: one that dies unnoticed would be missed by nobody."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from paymux.runtime.patience import is_lost

# Between the end of one and the next.
AGAIN = 1.0


async def kept_up(what: str, work: Callable[[], Awaitable[object]], over: Callable[[], bool]) -> None:
    """Do it, and do it anew whenever it ends before all is ``over``, whatever it raised; say so loudly."""
    log = structlog.get_logger()
    while True:
        try:
            await work()
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if over() or own is None or own.cancelling():
                raise
            log.critical("Work in the background was cancelled and is started anew", work=what)
        except Exception as error:
            log.critical("Work in the background died and is started anew", work=what, exc_info=error)
        else:
            if over():
                return
            log.critical("Work in the background ended and is started anew", work=what)
        await asyncio.sleep(AGAIN)


async def again_and_again(every: float, work: Callable[[], Awaitable[object]], trouble: str) -> None:
    """Do it every so many seconds; what goes wrong is logged as ``trouble``, but for a lost database."""
    while True:
        await asyncio.sleep(every)
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whoever stopped looking would be missed by nobody
            if not is_lost(error):
                structlog.get_logger().error(trouble, exc_info=error)
