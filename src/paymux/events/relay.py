"""The relay: tells what is in the outbox to the sink, in order, at least once.

Of all relays on one database one leads, by a lock that goes with its connection; the others wait for
it to end. An event is marked as told after the sink has taken it: a crash between the two tells it
again, under the same key.
"""

import asyncio
import contextlib
from datetime import timedelta

import structlog

from paymux.events.sinks.log import Sink
from paymux.events.types import from_row
from paymux.storage import events
from paymux.storage.database import LOST, Connection, Database

BATCH = 1000
# Events written by other processes are found by looking; our own wake us.
LOOK = 0.5
# A sink that is down, or a leader elsewhere.
WAIT_MIN, WAIT_MAX = 1.0, 60.0


class Relay:
    """Moves events from one database to one sink."""

    def __init__(self, database: Database, sink: Sink) -> None:
        self._database = database
        self._sink = sink
        self._news = asyncio.Event()
        self._stopping = False

    def told(self) -> None:
        """There may be something to tell."""
        self._news.set()

    async def run(self) -> None:
        """Relay until ``stop``; survives the absence of the database and of the sink."""
        log = structlog.get_logger().bind(component="publisher")
        wait = WAIT_MIN
        while not self._stopping:
            try:
                async with self._database.connection() as db:
                    if await events.lead(db):
                        wait = WAIT_MIN
                        await self._lead(db)
            except LOST:
                pass
            except Exception as error:  # noqa: BLE001 - whatever a sink raises, the events stay and are offered again
                log.error(
                    "Events could not be published, will try again", error=str(error), wait=f"{wait:g}s"
                )
                wait = min(wait * 2, WAIT_MAX)
            await self._pause(wait)

    def stop(self, _grace: timedelta | None = None) -> None:
        """Tell what is there and end."""
        self._stopping = True
        self._news.set()

    async def _lead(self, db: Connection) -> None:
        try:
            while True:
                self._news.clear()
                while await self._drain(db):
                    pass
                if self._stopping:
                    return
                await self._pause(LOOK)
        finally:
            with contextlib.suppress(*LOST):
                await events.step_down(db)

    async def _drain(self, db: Connection) -> bool:
        """Tell one batch; False when there was nothing."""
        rows = await events.waiting(db, BATCH)
        if not rows:
            return False
        numbers = [row["seq"] for row in rows]
        try:
            await self._sink.publish([from_row(row) for row in rows])
        except Exception:
            await events.refused(db, numbers)
            raise
        await events.told(db, numbers)
        return True

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)
