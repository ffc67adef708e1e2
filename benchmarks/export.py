"""Export: everything there is as lines, from a running service, beside the driver alone reading it."""

import time

import asyncpg
import httpx

from benchmarks.figures import Figure
from benchmarks.processes import Serving, forget_peak, memory

# However many rows go by, those of a batch are all that is held.
MEMORY_TARGET = 1.2
_LONGEST = 900.0
_AHEAD = 200


async def export(served: Serving, url: str, sql: str, count: int) -> list[Figure]:
    """Rows a second, and the service's memory at its peak; ``sql`` asks for the same rows at the database."""
    before = memory(served.pid)
    forget_peak(served.pid)
    start = time.perf_counter()
    lines = 0
    async with (
        httpx.AsyncClient(base_url=served.url, timeout=_LONGEST, trust_env=False) as client,
        client.stream("GET", "/payments", headers={"Accept": "application/x-ndjson"}) as answer,
    ):
        answer.raise_for_status()
        async for part in answer.aiter_raw():
            lines += part.count(b"\n")
    took = time.perf_counter() - start
    peak = memory(served.pid, "VmHWM")
    assert lines == count, f"{lines} lines of {count} payments"
    bare = await _bare(url, sql, count)
    return [
        Figure(
            what=f"export: {count:,} payments as lines", value=count / took, unit="/s", floor=count / bare,
            beside="bare cursor",
        ),
        Figure(
            what="export: peak memory of serve", value=peak, unit="MB", floor=before, beside="before",
            target=MEMORY_TARGET, sense="<=",
        ),
    ]  # fmt: skip


async def _bare(url: str, sql: str, count: int) -> float:
    connection = await asyncpg.connect(url, server_settings={"search_path": "paymux", "jit": "off"})
    start = time.perf_counter()
    async with connection.transaction():
        rows = 0
        async for _ in connection.cursor(sql, prefetch=_AHEAD):
            rows += 1
    took = time.perf_counter() - start
    assert rows == count
    await connection.close()
    return took
