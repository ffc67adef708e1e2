"""Events: how fast the outbox empties into a sink that takes everything."""

import asyncio
import time

from benchmarks import ground, record
from benchmarks.figures import Figure
from paymux.events.relay import Relay
from paymux.events.sinks.log import NoSink
from paymux.storage import sinks
from paymux.storage.database import Database

EVENTS = 200_000
# Events a second that two cores are to drain.
WANTED = 5_000.0
_LOOK = 0.02
_LONGEST = 300.0
_SINK = "bench"

# One for each payment, as its commit would have written it.
_WRITE = """
INSERT INTO event (installation, type, object, part)
SELECT installation, 'SAVED_PAYMENT', key, head FROM payment ORDER BY created_at
"""


def measure(*, quick: bool) -> list[Figure]:
    """Events drained a second."""
    with ground.server() as url:
        return ground.on_loop(lambda: _measure(url, EVENTS // (10 if quick else 1)))


async def _measure(url: str, count: int) -> list[Figure]:
    async with ground.fresh_pool(url) as database:
        await record.fill(database, await ground.holder(database, "bench"), count)
        await database.execute(_WRITE)
        await database.execute("VACUUM (ANALYZE) event")
        took = await _drained(database, count)
    return [
        Figure(
            what="events: drained into a null sink", value=count / took, unit="/s", floor=WANTED,
            beside="wanted", target=1.0,
        )
    ]  # fmt: skip


async def _drained(database: Database, count: int) -> float:
    """Seconds from the start of the relay until the sink has taken everything."""
    await sinks.declare(database, [_SINK])
    relay = Relay(database, _SINK, NoSink())
    start = time.perf_counter()
    running = asyncio.create_task(relay.run())
    async with asyncio.timeout(_LONGEST):
        while await database.fetchval("SELECT position FROM sink WHERE name = $1", _SINK) < count:  # noqa: ASYNC110 - looks at another's work
            await asyncio.sleep(_LOOK)
    took = time.perf_counter() - start
    relay.stop()
    await running
    return took
