"""Waits for the database: losing it is no failure of whatever needed it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from paymux.storage.database import COLLISION, LOST, DatabaseError, code_of

T = TypeVar("T")

# Between attempts while the database is away.
RETRY = 0.5
# It is there but has no connection to spare, is starting, or ended a transaction that stood still.
_BUSY = {"53300", "57P03", "25P03"}


def is_lost(error: BaseException) -> bool:
    """Whether an error of a statement of ours means that the database was not there to answer it."""
    # The driver's complaint about an argument comes as a ValueError, and will come again.
    return (isinstance(error, LOST) and not isinstance(error, ValueError)) or code_of(error) in _BUSY


async def patiently(work: Callable[[], Awaitable[T]], unless: Callable[[], bool] | None = None) -> T:
    """Do it, and do it again when the database was lost meanwhile; so it must bear being done twice.

    ``unless`` ends the patience: the loss is then raised.
    """
    while True:
        try:
            return await work()
        except COLLISION:
            continue
        except (*LOST, DatabaseError) as error:
            if not is_lost(error) or (unless is not None and unless()):
                raise
            await asyncio.sleep(RETRY)
