"""Pages: from a provider's bytes to committed rows and events, beside bare SQL that writes the same rows.

The two take turns page by page, each in a database of its own on the same server, so that neither
the machine's moods nor the growth of the tables favour one.
"""

import time
from collections.abc import Awaitable
from uuid import UUID

from benchmarks import ground, provider
from benchmarks.figures import Figure, say
from benchmarks.processes import forget_peak, memory
from paymux.domain.ids import row_key
from paymux.ingestion.ingester import Counts, Holder, Ingester
from paymux.ingestion.page import Page
from paymux.sdk import Payment
from paymux.storage.database import Database

PAYMENTS = 100_000
# Pages of each before the clock: connections, plans and code get warm.
WARM = 3
# Ingest is to cost at most this much more than writing its rows; unchanged rows hardly anything.
NEW_TARGET, UNCHANGED_TARGET = 0.6, 8.0
# What a page leaves behind in memory must not add up; at its peak there is one page in the making.
MEMORY_TARGET = 1.2

# The rows that paymux writes for a page, as bare as they can be written: nothing is looked up.
_FLOOR = """
WITH i AS MATERIALIZED (
    SELECT * FROM unnest(
        $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::uuid[],
        $10::uuid[], $11::timestamptz[], $12::text[], $13::uuid[]
    ) AS i (key, reference, type, status, scheme, asset, amount, source, destination, created_at, raw, report)
), payments AS (
    INSERT INTO payment (key, installation, reference, type, first_type, status, scheme, asset, amount,
                         initial_amount, source, destination, hash, head, head_at, first_at, created_at)
    SELECT key, $1, reference, type, type, status, scheme, asset, amount::numeric, amount::numeric, source,
           destination, report, report, now(), now(), created_at
    FROM i
), adjustments AS (
    INSERT INTO adjustment (payment, report, type, status, scheme, asset, amount, source, destination,
                            reported_at, run, raw)
    SELECT key, report, type, status, scheme, asset, amount::numeric, source, destination, now(), 1, raw
    FROM i
)
INSERT INTO event (installation, type, object, part) SELECT $1, 'SAVED_PAYMENT', key, report FROM i
"""


class Paymux:
    """The measured way: decode, map, make a page, commit it."""

    def __init__(self, database: Database, on_behalf: Holder) -> None:
        self._ingester = Ingester(database, lambda: None)
        self._holder = on_behalf
        self.counts = Counts()

    async def write(self, content: bytes) -> None:
        """Take in one page as a task does by ``ctx.ingest``."""
        page = Page(self._holder.uuid, payments=provider.payments(content))
        await self._ingester.commit(self._holder, page, self.counts)


class Bare:
    """The floor: columns that are ready, one statement."""

    def __init__(self, database: Database, on_behalf: Holder) -> None:
        self._database = database
        self._holder = on_behalf

    def columns(self, number: int) -> list[list[object]]:
        """What the statement takes, made outside of the clock."""
        found = [p for p in provider.payments(provider.page(number)) if isinstance(p, Payment)]

        def key(kind: str, reference: str | None) -> UUID:
            return row_key(self._holder.uuid, kind, reference or "")

        return [
            [key("payment", p.reference) for p in found],
            [p.reference for p in found],
            [p.type for p in found],
            [p.status for p in found],
            [p.scheme for p in found],
            [str(p.amount.asset) for p in found],
            [str(p.amount.minor) for p in found],
            [key("account", p.source) for p in found],
            [key("account", p.destination) for p in found],
            [p.created_at for p in found],
            [bytes(p.raw).decode() if isinstance(p.raw, bytes) else p.raw for p in found],
            [key("report", p.reference) for p in found],
        ]

    async def write(self, columns: list[list[object]]) -> None:
        """Write one page."""
        await self._database.execute(_FLOOR, self._holder.installation, *columns)


def measure(*, quick: bool) -> list[Figure]:
    """New pages, the same pages again, and the memory of both."""
    with ground.server() as url:
        return ground.on_loop(lambda: _measure(url, PAYMENTS // (10 if quick else 1) // provider.PAGE))


async def _measure(url: str, pages: int) -> list[Figure]:
    async with ground.fresh_pool(url) as ours, ground.fresh_pool(url) as theirs:
        paymux = Paymux(ours, await ground.holder(ours, "bench"))
        bare = Bare(theirs, await ground.holder(theirs, "bench"))
        for number in range(pages, pages + WARM):
            await paymux.write(provider.page(number))
            await paymux.write(provider.page(number))
            await bare.write(bare.columns(number))

        paymux.counts = Counts()
        forget_peak()
        start = memory()
        new = floor = unchanged = 0.0
        for number in range(pages):
            content, columns = provider.page(number), bare.columns(number)
            # A B B A: whoever comes second finds the server warm from the first.
            if number % 2:
                floor += await _timed(bare.write(columns))
            new += await _timed(paymux.write(content))
            if not number % 2:
                floor += await _timed(bare.write(columns))
            if number % 10 == 9:
                say(f"  pages: {number + 1} of {pages}")
        brought, paymux.counts = paymux.counts, Counts()  # the next poll is the next run
        for number in range(pages):
            unchanged += await _timed(paymux.write(provider.page(number)))
        peak = memory(field="VmHWM")

        count = pages * provider.PAGE
        assert (brought.added, paymux.counts.unchanged) == (count, count)
        assert await _rows(ours) == await _rows(theirs), "the floor writes the same rows"
    return [
        Figure(
            what="pages: new payments", value=count / new, unit="/s", floor=count / floor,
            beside="bare INSERT", target=NEW_TARGET,
        ),
        Figure(
            what="pages: unchanged payments", value=count / unchanged, unit="/s", floor=count / new,
            beside="new", target=UNCHANGED_TARGET,
        ),
        Figure(
            what="pages: peak memory", value=peak, unit="MB", floor=start, beside="at the start",
            target=MEMORY_TARGET, sense="<=",
        ),
    ]  # fmt: skip


async def _timed(work: Awaitable[None]) -> float:
    before = time.perf_counter()
    await work
    return time.perf_counter() - before


async def _rows(database: Database) -> list[int]:
    return [await database.fetchval(f"SELECT count(*) FROM {t}") for t in ("payment", "adjustment", "event")]  # noqa: S608 - three names
