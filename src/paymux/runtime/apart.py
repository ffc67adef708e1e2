"""A loop of its own, in a thread of its own: what runs there does not wait its turn among all that runs here.

A page of a thousand records keeps a loop for milliseconds, and a hundred pages keep it for seconds. Between
threads the interpreter shares the time out more evenly.
"""

import asyncio
from collections.abc import Callable, Coroutine
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

# Seconds; what has not ended by then is left behind, and goes with the process.
_LEAVING = 1.0


class Apart:
    """Does work elsewhere for whoever waits for it here."""

    def __init__(self, name: str) -> None:
        self._here = asyncio.get_running_loop()
        # As fast a one.
        self._there = type(self._here)()
        self._thread = Thread(target=self._there.run_forever, name=name, daemon=True)
        self._thread.start()

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Have it done there; whoever is cancelled here cancels it there."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._there))

    def told(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Who may be told there, and hears it here."""

        def tell() -> None:
            self._here.call_soon_threadsafe(listener)

        return tell

    async def last(self, work: Coroutine[Any, Any, None], seconds: float) -> bool:
        """Have it done before the end, if it can be; False when something there keeps the loop to itself."""
        try:
            await asyncio.wait_for(self.do(work), seconds)
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Cancel what is left, and end."""
        await self.last(_leave(), 2 * _LEAVING)
        self._there.call_soon_threadsafe(self._there.stop)
        await asyncio.to_thread(self._thread.join, _LEAVING)
        if not self._thread.is_alive():
            self._there.close()


async def _leave() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=_LEAVING)
