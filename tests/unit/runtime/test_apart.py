"""What runs apart waits for nobody here, and ends with whoever started it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

from paymux.runtime.apart import Apart


@pytest.fixture
async def apart() -> AsyncIterator[Apart]:
    made = Apart("elsewhere")
    yield made
    await made.close()


async def test_what_keeps_the_loop_here_holds_up_nothing_there(apart: Apart) -> None:
    """Somebody sleeps in the loop here; there, the time goes on."""
    ticks: list[float] = []

    async def tick() -> str:
        while len(ticks) < 10:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)
        return threading.current_thread().name

    ticking = asyncio.create_task(apart.do(tick()))
    await asyncio.sleep(0.01)
    time.sleep(0.5)  # noqa: ASYNC251 - that is the point
    woke = time.monotonic()

    assert await ticking == "elsewhere"
    assert ticks[-1] < woke


async def test_what_is_raised_there_and_cancelled_here_gets_across(apart: Apart) -> None:
    """As if it were one loop."""
    cancelled = threading.Event()

    async def fail() -> None:
        raise LookupError("there")

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(LookupError, match="there"):
        await apart.do(fail())
    waiting = asyncio.create_task(apart.do(wait()))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(cancelled.wait, 5)


async def test_who_listens_here_is_told_from_there(apart: Apart) -> None:
    """In the loop here, where a listener may do as it likes."""
    heard = asyncio.Event()
    where: list[str] = []

    def listen() -> None:
        where.append(threading.current_thread().name)
        heard.set()

    async def tell() -> None:
        apart.told(listen)()

    await apart.do(tell())
    await asyncio.wait_for(heard.wait(), 5)
    assert where == [threading.current_thread().name]


async def test_code_that_keeps_its_loop_to_itself_holds_up_no_end(apart: Apart) -> None:
    """A connector that blocks where money is moved: the process leaves all the same, within its grace."""
    held, free = threading.Event(), threading.Event()

    async def block() -> None:
        held.set()
        free.wait(30)

    async def say_goodbye() -> None:
        """Never gets its turn."""

    blocking = asyncio.create_task(apart.do(block()))
    await asyncio.to_thread(held.wait, 5)
    begun = time.monotonic()

    assert await apart.last(say_goodbye(), 0.1) is False
    assert time.monotonic() - begun < 5

    free.set()
    await blocking
    assert await apart.last(say_goodbye(), 5) is True
