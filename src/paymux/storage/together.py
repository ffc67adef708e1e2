"""Several callers, one round trip: what comes in while a statement is under way goes with the next one.

Nobody waits for company: a caller that is alone goes at once. Under load, ten small tasks that end at
the same time cost one statement and one commit instead of ten.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")

# Together they are one transaction, which holds its locks until the last is done.
COMPANY_MAX = 50


class Together(Generic[A, R]):
    """Calls ``work`` with many arguments at once; when that fails, with each alone: none spoils another's."""

    def __init__(self, work: Callable[[Sequence[A]], Awaitable[Sequence[R]]]) -> None:
        self._work = work
        self._waiting: list[tuple[A, asyncio.Future[R]]] = []
        self._under_way: asyncio.Task[None] | None = None

    async def __call__(self, argument: A) -> R:
        """Take part in the next call; returns what it gives for this argument, or raises why not."""
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((argument, result))
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._go())
        return await result

    async def _go(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:COMPANY_MAX], self._waiting[COMPANY_MAX:]
                try:
                    results = await self._work([argument for argument, _ in group])
                except Exception as error:  # noqa: BLE001 - it is whoever caused it who gets it
                    await self._each_alone(group, error)
                    continue
                for (_, future), result in zip(group, results, strict=True):
                    if not future.done():
                        future.set_result(result)
        finally:
            self._under_way = None

    async def _each_alone(self, group: Sequence[tuple[A, asyncio.Future[R]]], error: Exception) -> None:
        for argument, future in group:
            try:
                results = [] if len(group) == 1 else await self._work([argument])
            except Exception as own:  # noqa: BLE001 - as above
                results, error = [], own
            if future.done():
                continue
            if results:
                future.set_result(results[0])
            else:
                future.set_exception(error)
