"""Waits for the database: losing it is no failure of whatever needed it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from paymux.storage.database import COLLISION, LOST, DatabaseError, is_away

T = TypeVar("T")

# Between attempts while the database is away.
RETRY = 0.5


def is_lost(error: BaseException) -> bool:
    """Whether an error of a statement of ours means that the database was not there to answer it."""
    return isinstance(error, OSError) or is_away(error)


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
