"""All sinks at once: a relay each, so that one that is down stops nobody else, and what is old forgotten."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog

from paymux.events.messages import Sink
from paymux.events.relay import Relay
from paymux.storage import events, sinks
from paymux.storage.database import LOST, Database

# Seconds between looks for events that are old enough to be deleted, and between batches of those.
PRUNE, PRUNE_PAUSE = 60.0, 0.1


class Telling:
    """Tells events to every sink, by name."""

    def __init__(
        self,
        database: Database,
        named: Mapping[str, Sink],
        *,
        retention: timedelta,
        mask: Callable[[str], str] = str,
    ) -> None:
        """Use ``database``, of which each relay holds one connection while it leads."""
        self._database = database
        self._relays = [Relay(database, name, sink, mask) for name, sink in named.items()]
        self._retention = retention

    def told(self) -> None:
        """There may be something to tell."""
        for relay in self._relays:
            relay.told()

    async def declare(self) -> None:
        """Say which sinks there are: events wait for these, and for no others."""
        await sinks.declare(self._database, [relay.name for relay in self._relays])

    async def run(self) -> None:
        """Tell until ``stop``."""
        pruning = asyncio.create_task(self._prune_again_and_again())
        try:
            async with asyncio.TaskGroup() as group:
                for relay in self._relays:
                    group.create_task(relay.run())
        finally:
            pruning.cancel()

    def stop(self) -> None:
        """Tell what is there and end."""
        for relay in self._relays:
            relay.stop()

    async def prune(self) -> int:
        """Delete what is older than is kept: events told everywhere, and dead letters; returns how many."""
        pruned = 0
        for prune in (events.prune, sinks.prune):
            while gone := await prune(self._database, self._retention):
                pruned += gone
                await asyncio.sleep(PRUNE_PAUSE)
        return pruned

    async def _prune_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(PRUNE)
            try:
                await self.prune()
            except LOST:
                pass
            except Exception as error:  # noqa: BLE001 - whoever stopped looking would be missed by nobody
                structlog.get_logger().error("Deleting old events failed", exc_info=error)
