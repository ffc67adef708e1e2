"""A loop that stands still is told, with the line where it stands."""

import asyncio
import time

from structlog.testing import capture_logs

from paymux.runtime.stalls import LOOKS, stalls_told

LOOK = 0.05


def blocks() -> None:
    time.sleep(LOOK * LOOKS * 2)


async def test_code_that_blocks_is_named_once_each_time() -> None:
    """Whoever reads the log finds the function that has to be mended."""
    with capture_logs() as lines, stalls_told(LOOK):
        await asyncio.sleep(LOOK * 3)
        blocks()
        await asyncio.sleep(LOOK * 3)
        blocks()
        await asyncio.sleep(LOOK * 3)

    assert [line["log_level"] for line in lines] == ["warning"] * 2
    assert all("in blocks\n" in line["traceback"] for line in lines)
    assert all("plain def" in line["event"] for line in lines)


async def test_a_loop_that_waits_is_not_told() -> None:
    """Having nothing to do is not standing still."""
    with capture_logs() as lines, stalls_told(LOOK):
        await asyncio.sleep(LOOK * LOOKS * 2)

    assert lines == []
