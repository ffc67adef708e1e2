"""Notices code that blocks the event loop, and says where it stands: nothing else runs meanwhile.

A worker whose loop stands still says nothing to the others either. After the heartbeat's time they take
its runs for dead, so whoever wrote ``time.sleep`` into an ``async def`` sees runs that crash for no reason.
"""

import asyncio
import contextlib
import sys
import traceback
from collections.abc import Iterator
from threading import Event, Thread, get_ident

import structlog

# Seconds between looks, and looks in a row at which the loop did not come round: two seconds are an age
# for a loop, and below most heartbeats. Looks and not time, for a process that was frozen has not stalled.
LOOK = 0.5
LOOKS = 4
# Frames that are shown, up from the one that blocks.
_FRAMES = 8


@contextlib.contextmanager
def stalls_told(look: float = LOOK) -> Iterator[None]:
    """Watch the running loop from a thread: a line in the log for each time that it stands still."""
    loop, own = asyncio.get_running_loop(), get_ident()
    over, came_round = Event(), Event()

    def watch() -> None:
        missed = 0
        with contextlib.suppress(RuntimeError):  # the loop is closed
            while not over.wait(look):
                missed = 0 if came_round.is_set() else missed + 1
                if missed == LOOKS:
                    _tell(own)
                if not missed:
                    came_round.clear()
                    loop.call_soon_threadsafe(came_round.set)

    came_round.set()
    Thread(target=watch, name="stalls", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _tell(thread: int) -> None:
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - the documented way to another thread's stack
    where = traceback.format_stack(frame)[-_FRAMES:] if frame is not None else []
    structlog.get_logger().warning(
        "The event loop stands still. Code that blocks belongs into a plain def, which runs in a thread.",
        traceback="".join(where).rstrip(),
    )
