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
# Between batches that were not full: what comes in one by one is told by the dozen, at a dozenth of the cost.
LINGER = 0.1
# A sink that is down, or a leader elsewhere; doubled with every batch that the sink does not take.
WAIT_MIN, WAIT_MAX = 1.0, 60.0


class NotTaken(Exception):
    """The sink did not take a batch of events. They wait in the outbox and are offered again."""


class Relay:
    """Moves events from one database to one sink."""

    def __init__(self, database: Database, sink: Sink) -> None:
        self._database = database
        self._sink = sink
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self._wait = WAIT_MIN

    def told(self) -> None:
        """There may be something to tell."""
        self._news.set()

    async def run(self) -> None:
        """Relay until ``stop``; survives the absence of the database and of the sink."""
        log = structlog.get_logger().bind(component="publisher")
        while not self._stopping.is_set():
            wait = WAIT_MIN
            try:
                async with self._database.connection() as db:
                    if await events.lead(db):
                        await self._lead(db)
            except NotTaken as error:
                wait = self._backoff()
                why = str(error.__cause__) or type(error.__cause__).__name__
                log.error("Events could not be published, will try again", error=why, wait=f"{wait:g}s")  # noqa: TRY400 - the sink's trouble, no defect of ours
            except LOST:
                pass
            except Exception:
                wait = self._backoff()
                log.exception("Events cannot be told, will try again", wait=f"{wait:g}s")
            await _first(self._stopping, wait)

    def stop(self, _grace: timedelta | None = None) -> None:
        """Tell what is there and end."""
        self._stopping.set()
        self._news.set()

    async def _lead(self, db: Connection) -> None:
        try:
            while True:
                self._news.clear()
                # Looked at before: what happens while the last batch is told comes before the end, too.
                ending = self._stopping.is_set()
                while await self._drain(db) == BATCH:
                    pass
                if ending:
                    return
                await _first(self._stopping, LINGER)
                await _first(self._news, LOOK)
        finally:
            with contextlib.suppress(*LOST):
                await events.step_down(db)

    async def _drain(self, db: Connection) -> int:
        """Tell one batch; returns how many there were."""
        rows = await events.waiting(db, BATCH)
        if not rows:
            return 0
        numbers = [row["seq"] for row in rows]
        batch = [from_row(row) for row in rows]
        try:
            await self._sink.publish(batch)
        except Exception as error:
            await events.refused(db, numbers)
            # Also when it is of a kind that, from the database, would mean that we lost it.
            raise NotTaken(NotTaken.__doc__) from error
        await events.told(db, numbers)
        self._wait = WAIT_MIN
        return len(rows)

    def _backoff(self) -> float:
        wait, self._wait = self._wait, min(self._wait * 2, WAIT_MAX)
        return wait


async def _first(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, so long at most."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
