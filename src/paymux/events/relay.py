"""The relay: tells one sink what is in the outbox, in line, at least once.

Of all relays of a sink on one database one leads, by a lock that goes with its connection; the others
wait for it to end. How far a sink has come is noted after it has taken a batch: a crash between the two
tells that again, under the same keys.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import takewhile
from typing import Any

import msgspec
import structlog

from paymux.events.messages import Busy, Message, NotSent, Outcome, Refusal, Sink, message
from paymux.storage import events, sinks
from paymux.storage.database import LOST, Connection, Database

BATCH = 1000
# Events taken behind one that is not, remembered at once. Enough for STRIKES batches.
AHEAD_MAX = 10_000
# Events written by other processes are found by looking; our own wake us.
LOOK = 0.5
# Between batches that were not full: what comes in one by one is told by the dozen, at a dozenth of the cost.
LINGER = 0.1
# Up to so much longer: those who wait for the same thing do not come back at once.
JITTER = 0.2
# An event that could not be sent so often, each time while others were taken, is itself the trouble.
STRIKES = 10
# Of what a sink says.
REASON_MAX = 2000


class NotTaken(Exception):
    """The sink did not take a batch of events.

    They wait in the outbox and are offered again, after ``seconds`` at the soonest.
    """

    def __init__(self, why: str, seconds: float = 0) -> None:
        super().__init__(why)
        self.seconds = seconds


class Pace(msgspec.Struct, frozen=True):
    """How long a relay waits, in seconds."""

    # For a leader elsewhere, or a sink that is down; doubled with every batch of which it takes nothing.
    least: float = 1.0
    most: float = 60.0
    # Until a refused event is offered again. After the last it is a dead letter.
    again: tuple[float, ...] = (1, 4, 16, 64)
    # At most, when the sink says for how long.
    longest: float = 3600.0


_PACE = Pace()


class Relay:
    """Moves events from one database to one sink, which the database knows by its name."""

    def __init__(
        self, database: Database, name: str, sink: Sink, mask: Callable[[str], str] = str, pace: Pace = _PACE
    ) -> None:
        self._database = database
        self.name = name
        self._sink = sink
        self._mask = mask
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self._pace = pace
        self._wait = pace.least
        # How far the sink has come, and what it has settled beyond that.
        self._position = 0
        self._ahead: set[int] = set()
        self._strikes: Counter[int] = Counter()

    def told(self) -> None:
        """There may be something to tell."""
        self._news.set()

    async def run(self) -> None:
        """Relay until ``stop``; survives the absence of the database and of the sink."""
        while not self._stopping.is_set():
            wait = self._pace.least
            try:
                async with self._database.connection() as db:
                    wait = await self._lead(db)
            except LOST:
                pass
            except Exception:  # noqa: BLE001 - it is logged whole; a relay that gives up does so in silence
                wait = self._backoff()
                self._log().exception("Events cannot be told, will try again", wait=f"{wait:g}s")
            await self._idle(wait)
        await self._sink.close()

    def stop(self, _grace: timedelta | None = None) -> None:
        """Tell what is there and end."""
        self._stopping.set()
        self._news.set()

    async def _lead(self, db: Connection) -> float:
        """Tell what there is until the sink fails or we stop; returns how long to wait until the next try."""
        position = await sinks.lead(db, self.name)
        if position is None:
            return self._pace.least
        if position != self._position:  # otherwise we were the last to lead, and know what it has beyond
            self._position, self._ahead, self._strikes = position, set(), Counter()
        try:
            while True:
                self._news.clear()
                # Looked at before: what happens while the last batch is told comes before the end, too.
                ending = self._stopping.is_set()
                while await self._drain(db):
                    pass
                await self._offer_again(db)
                if ending:
                    return 0
                await _first(self._stopping, LINGER)
                await _first(self._news, LOOK)
        except NotTaken as error:
            wait = max(self._backoff(), self._asked_for(error))
            says = {"error": str(error), "wait": f"{wait:g}s"}
            self._log().error("Events could not be published, will try again", **says)
            if not self._asked_for(error):
                return wait  # meanwhile another process may lead, which may reach the sink
            # Still in the lead, for others would not know that they are not to ask.
            await self._idle(wait)
            return 0
        finally:
            with contextlib.suppress(*LOST):
                await sinks.step_down(db, self.name)

    async def _drain(self, db: Connection) -> bool:
        """Tell one batch; returns whether there may be more."""
        await events.line_up(db)
        limit = max(1, min(BATCH, AHEAD_MAX - len(self._ahead)))
        rows, until = await events.after(db, self._position, limit, self._ahead)
        if not rows:
            await self._catch_up(db)
            return False
        more = len(rows) == limit or until is not None
        offered = {row["position"]: message(row) for row in rows}
        try:
            outcomes = await self._offer(list(offered.values()))
        except NotTaken as error:
            await sinks.failing(db, self.name, str(error))
            raise
        found = self._judged(dict(zip(offered, outcomes, strict=True)))
        await self._settle(db, offered, found, rows[-1]["position"] if more else None)
        failed = [its for its in found.values() if its is not None and not isinstance(its, Refusal | NotSent)]
        if failed:
            why = self._said(failed[0])
            await sinks.failing(db, self.name, why)
            raise NotTaken(why, max(map(self._asked_for, failed)))
        return more

    async def _settle(
        self,
        db: Connection,
        offered: Mapping[int, Message],
        found: Mapping[int, Outcome],
        until: int | None,
    ) -> None:
        """Note what was taken or refused, and how far all is without a gap; first there, then here."""
        refused = {place: its for place, its in found.items() if isinstance(its, Refusal)}
        settled = refused.keys() | {place for place, its in found.items() if its is None}
        if not settled:
            return
        ahead = self._ahead | settled
        # Behind what was read there may be more, between those that are ahead.
        read = sorted(place for place in self._ahead.union(offered) if until is None or place <= until)
        done = list(takewhile(ahead.__contains__, read))
        position = done[-1] if done else self._position
        letters = [self._refused(offered[place], its) for place, its in refused.items()]
        await sinks.told(db, self.name, position, letters, timedelta(seconds=self._pace.again[0]))
        self._position, self._ahead = position, ahead.difference(done)
        self._wait = self._pace.least
        for place in settled:
            self._strikes.pop(place, None)

    async def _catch_up(self, db: Connection) -> None:
        """There is nothing left between those that are ahead."""
        if self._ahead:
            position = max(self._ahead)
            await sinks.told(db, self.name, position)
            self._position, self._ahead = position, set()

    def _judged(self, found: Mapping[int, Outcome]) -> dict[int, Outcome]:
        """As found, but one that keeps failing while others are taken counts as refused."""
        if not any(its is None for its in found.values()):
            return dict(found)
        judged = dict(found)
        for place, its in found.items():
            if its is not None and not isinstance(its, Refusal | NotSent | Busy):
                self._strikes[place] += 1
                if self._strikes[place] >= STRIKES:
                    judged[place] = Refusal(f"{self._said(its)} (while others are taken)")
        return judged

    async def _offer_again(self, db: Connection) -> None:
        """Offer what was refused before and is due again."""
        rows = await sinks.due(db, self.name, BATCH)
        if not rows:
            return
        letters = [Message(row["key"], row["type"], row["object"], row["body"].encode()) for row in rows]
        outcomes = list(zip(rows, await self._offer(letters), strict=True))
        await sinks.taken(db, [row["id"] for row, its in outcomes if its is None])
        again = [
            sinks.Again(
                row["id"], self._said(its), self._next(row["attempts"], its), isinstance(its, Refusal)
            )
            for row, its in outcomes
            if its is not None
        ]
        if again:
            await sinks.refused_again(db, again)
        for row, its in outcomes:
            if isinstance(its, Refusal) and self._next(row["attempts"], its) is None:
                says = {"message_uuid": str(row["key"]), "error": self._said(its)}
                self._log().error("An event was given up", **says)

    def _next(self, attempts: int, outcome: Any) -> timedelta | None:
        """When one is offered again that was, ``attempts`` times before, refused; None: never."""
        if not isinstance(outcome, Refusal):  # the sink is down, which is not the event's fault
            usual = self._pace.again[min(max(attempts, 1), len(self._pace.again) - 1)]
            return timedelta(seconds=max(usual, self._asked_for(outcome)))
        return timedelta(seconds=self._pace.again[attempts]) if attempts < len(self._pace.again) else None

    async def _offer(self, messages: list[Message]) -> Sequence[Outcome]:
        if not messages:
            return ()
        try:
            return await self._sink.publish(messages)
        except Exception as error:
            # Also when it is of a kind that, from the database, would mean that we lost it.
            raise NotTaken(self._said(error)) from error

    def _refused(self, one: Message, why: Refusal) -> sinks.Refused:
        return sinks.Refused(one.key, one.type, one.object, one.body.decode(), self._said(why))

    def _said(self, error: Exception) -> str:
        text = self._mask(str(error) or type(error).__name__)
        return text.replace("\0", "")[:REASON_MAX]

    def _log(self) -> Any:
        return structlog.get_logger().bind(component="publisher", sink=self.name)

    async def _idle(self, seconds: float) -> None:
        await _first(self._stopping, seconds * (1 + JITTER * random.random()))  # noqa: S311 - no secret

    def _asked_for(self, error: Exception) -> float:
        return min(error.seconds, self._pace.longest) if isinstance(error, Busy | NotTaken) else 0

    def _backoff(self) -> float:
        wait, self._wait = self._wait, min(self._wait * 2, self._pace.most)
        return wait


async def _first(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, so long at most."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
