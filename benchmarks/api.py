"""The interface: a real ``paymux serve`` over loopback, beside the driver alone asking for the same rows.

Every question gets a short slice of time in turn, many times round, so that the machine's moods fall on
all of them alike.
"""

import base64
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec

from benchmarks import ground, provider
from benchmarks.figures import Figure, say
from benchmarks.http_client import Connection, Latencies, hammer
from benchmarks.pages import Paymux
from benchmarks.processes import serving
from paymux.domain.ids import parse_payment_id, row_key
from paymux.storage.database import Database

PAYMENTS = 200_000
CONCURRENCIES = (1, 8)
# Seconds for one question in one round.
SLICE = 0.3
ROUNDS = 12
# A page anywhere costs what the first does.
DEPTH_TARGET = 1.3
_SIZE = 15

# A page with its reports and accounts, as plainly as it can be asked for.
_LIST = """
WITH page AS (
    SELECT * FROM payment p WHERE {where} ORDER BY p.created_at DESC, p.key DESC LIMIT $1
)
SELECT p.*, i.uuid, i.provider, s.reference AS source_reference, d.reference AS destination_reference,
       a.report, a.reference AS report_reference, a.status AS report_status, a.amount AS report_amount,
       a.reported_at, a.raw
FROM page p
JOIN installation i ON i.id = p.installation
JOIN adjustment a ON a.payment = p.key
LEFT JOIN account s ON s.key = p.source
LEFT JOIN account d ON d.key = p.destination
ORDER BY p.created_at DESC, p.key DESC, a.reported_at DESC
"""

# By question and concurrency.
Measured = dict[tuple[str, int], Latencies]


class Question(msgspec.Struct, frozen=True):
    """A request, and the statement that answers it."""

    name: str
    path: str
    sql: str
    arguments: tuple[object, ...]


def measure(*, quick: bool) -> list[Figure]:
    """Requests a second and latencies of the list and of one payment."""
    pages = PAYMENTS // (10 if quick else 1) // provider.PAGE
    with ground.server() as url, ground.folder() as home:
        return ground.on_loop(lambda: _measure(url, home / "serve.log", pages, quick=quick))


async def _measure(url: str, log: Path, pages: int, *, quick: bool) -> list[Figure]:
    async with ground.fresh_database(url) as there:
        await _fill(there, pages)
        settings = {"database_url": there, "encryption_keys": base64.b64encode(ground.KEY).decode()}
        # It blocks the loop until the process is ready, and nothing else is going on here yet.
        with serving(log, **settings) as served:
            questions = await _questions(served.url, pages * provider.PAGE // 2)
            return await _ask(served.url, there, questions, ROUNDS // (3 if quick else 1))


async def _fill(url: str, pages: int) -> None:
    """Bring in the payments by the usual way, and leave the tables as a day of quiet would."""
    database = await Database.open(url)
    paymux = Paymux(database, await ground.holder(database, "bench"))
    for number in range(pages):
        await paymux.write(provider.page(number))
        if number % 20 == 19:
            say(f"  api: {number + 1} of {pages} pages loaded")
    await database.execute("TRUNCATE event")
    await database.execute("VACUUM (ANALYZE)")
    await database.execute("CHECKPOINT")
    await database.close()


async def _questions(url: str, depth: int) -> list[Question]:
    connection = await Connection.open(url)
    first = f"/payments?pageSize={_SIZE}"
    newest = (await _cursor(connection, first))["data"][0]["id"]
    cursor, row = await _walk(connection, first, depth)
    connection.close()
    limit = _SIZE + 1
    asked = [
        Question("first page", first, _LIST.format(where="true"), (limit,)),
        Question(
            f"page at depth {depth:,}", f"/payments?cursor={cursor}",
            _LIST.format(where="(p.created_at, p.key) < ($2, $3)"), (limit, *row),
        ),
        Question("one by id", f"/payments/{newest}", _LIST.format(where="p.key = $2"), (1, _key(newest))),
    ]  # fmt: skip
    for name, status in (("common", provider.COMMON_STATUS), ("rare", provider.RARE_STATUS)):
        query = quote(msgspec.json.encode({"$match": {"status": status}}).decode())
        sql = _LIST.format(where="p.status = $2")
        asked.append(Question(f"of a {name} status", f"{first}&query={query}", sql, (limit, str(status))))
    return asked


async def _walk(connection: Connection, path: str, depth: int) -> tuple[str, tuple[datetime, UUID]]:
    """The cursor of the page that begins at a depth, walked to as a client would, and the row before it."""
    start = time.perf_counter()
    for _ in range(depth // _SIZE):
        found = await _cursor(connection, path)
        path = f"/payments?cursor={found['next']}"
    say(f"  api: walked to depth {depth:,} in {time.perf_counter() - start:.0f} s")
    last = found["data"][-1]
    return found["next"], (msgspec.convert(last["createdAt"], datetime), _key(last["id"]))


async def _cursor(connection: Connection, path: str) -> dict[str, Any]:
    answer: dict[str, Any] = msgspec.json.decode(await connection.get(path))["cursor"]
    return answer


def _key(payment: str) -> UUID:
    parts = parse_payment_id(payment)
    return row_key(parts.connector.reference, "payment", parts.reference)


async def _ask(url: str, database_url: str, questions: list[Question], rounds: int) -> list[Figure]:
    most = max(CONCURRENCIES)
    connections = [await Connection.open(url) for _ in range(most)]
    database = await Database.open(database_url, size=most)
    http = {(q.name, many): Latencies() for many in CONCURRENCIES for q in questions}
    bare = {(q.name, many): Latencies() for many in CONCURRENCIES for q in questions}
    client = 0.0
    for number in range(rounds + 1):
        for many in CONCURRENCIES:
            for q in questions:
                calls = [partial(connection.get, q.path) for connection in connections[:many]]
                before = time.process_time()
                await hammer(calls, SLICE, http[q.name, many])
                client += time.process_time() - before
                await hammer(
                    [partial(database.fetch, q.sql, *q.arguments)] * many, SLICE / 2, bare[q.name, many]
                )
        if number == 0:  # that was for warming up
            client = 0.0
            for measured in (*http.values(), *bare.values()):
                measured.each.clear()
                measured.elapsed = 0.0
        elif number % 4 == 0:
            say(f"  api: {number} of {rounds} rounds")
    for connection in connections:
        connection.close()
    await database.close()
    say(f"  api: the client used {1e6 * client / sum(len(m.each) for m in http.values()):.0f} µs a request")
    return [_figure(q.name, many, http, bare) for many in CONCURRENCIES for q in questions] + [
        Figure(
            what=f"api: p50 at depth, {many} at a time", unit="ms",
            value=http[questions[1].name, many].percentile(0.5),
            floor=http[questions[0].name, many].percentile(0.5), beside="first page",
            target=DEPTH_TARGET, sense="<=",
        )
        for many in CONCURRENCIES
    ]  # fmt: skip


def _figure(name: str, many: int, http: Measured, bare: Measured) -> Figure:
    measured = http[name, many]
    p50, p99 = measured.percentile(0.5), measured.percentile(0.99)
    return Figure(
        what=f"api: {name}, {many} at a time", value=measured.rate, unit="/s", floor=bare[name, many].rate,
        beside="bare SQL", note=f"p50 {p50:.2f} ms, p99 {p99:.2f} ms",
    )  # fmt: skip
