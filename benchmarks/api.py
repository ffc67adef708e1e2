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

import asyncpg
import msgspec

from benchmarks import ground, provider
from benchmarks.figures import Figure, say
from benchmarks.http_client import Connection, Latencies, hammer
from benchmarks.pages import Paymux
from benchmarks.processes import Serving, cpu, serving
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

# A page with its reports and accounts, and one payment more, as plainly as it can be asked for: the plan
# is made once.
_LIST = """
WITH page AS (
    SELECT * FROM payment p WHERE {where} ORDER BY p.created_at DESC, p.key DESC LIMIT 16
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


class Question(msgspec.Struct, frozen=True):
    """A request, and the statement that answers it."""

    name: str
    path: str
    sql: str
    arguments: tuple[object, ...]


class Case(msgspec.Struct):
    """A question, so many at a time, over HTTP and by the driver; CPU seconds of serve and of ourselves."""

    question: Question
    many: int
    http: Latencies = msgspec.field(default_factory=Latencies)
    bare: Latencies = msgspec.field(default_factory=Latencies)
    server: float = 0.0
    client: float = 0.0


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
            return await _ask(served, there, questions, ROUNDS // (3 if quick else 1))


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
    asked = [
        Question("first page", first, _LIST.format(where="true"), ()),
        Question(
            f"page at depth {depth:,}", f"/payments?cursor={cursor}",
            _LIST.format(where="(p.created_at, p.key) < ($1, $2)"), row,
        ),
        Question("one by id", f"/payments/{newest}", _LIST.format(where="p.key = $1"), (_key(newest),)),
    ]  # fmt: skip
    for name, status in (("common", provider.COMMON_STATUS), ("rare", provider.RARE_STATUS)):
        query = quote(msgspec.json.encode({"$match": {"status": status}}).decode())
        sql = _LIST.format(where="p.status = $1")
        asked.append(Question(f"of a {name} status", f"{first}&query={query}", sql, (str(status),)))
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


async def _ask(served: Serving, url: str, questions: list[Question], rounds: int) -> list[Figure]:
    most = max(CONCURRENCIES)
    connections = [await Connection.open(served.url) for _ in range(most)]
    plain = {"search_path": "paymux", "jit": "off"}
    bare = [await asyncpg.connect(url, server_settings=plain) for _ in range(most)]

    async def ask_all(cases: list[Case]) -> None:
        for case in cases:
            calls = [partial(connection.get, case.question.path) for connection in connections[: case.many]]
            before = cpu([served.pid]), time.process_time()
            await hammer(calls, SLICE, case.http)
            case.server += cpu([served.pid]) - before[0]
            case.client += time.process_time() - before[1]
            asked = (case.question.sql, *case.question.arguments)
            await hammer([partial(one.fetch, *asked) for one in bare[: case.many]], SLICE / 2, case.bare)

    cases = [Case(question, many) for many in CONCURRENCIES for question in questions]
    await ask_all([Case(case.question, case.many) for case in cases])  # warms up both sides
    for number in range(rounds):
        await ask_all(cases)
        say(f"  api: {number + 1} of {rounds} rounds")
    for connection in connections:
        connection.close()
    for one in bare:
        await one.close()
    requests = sum(len(case.http.each) for case in cases)
    say(f"  api: the client used {1e6 * sum(case.client for case in cases) / requests:.0f} µs a request")
    return [_figure(case) for case in cases] + [
        _depth(cases[at], cases[at + 1]) for at in range(0, len(cases), len(questions))
    ]


def _figure(case: Case) -> Figure:
    p50, p99 = case.http.percentile(0.5), case.http.percentile(0.99)
    used = 1000 * case.server / len(case.http.each)
    return Figure(
        what=f"api: {case.question.name}, {case.many} at a time", value=case.http.rate, unit="/s",
        floor=case.bare.rate, beside="bare SQL",
        note=f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, {used:.2f} ms of CPU",
    )  # fmt: skip


def _depth(first: Case, deep: Case) -> Figure:
    return Figure(
        what=f"api: p50 at depth, {deep.many} at a time", value=deep.http.percentile(0.5), unit="ms",
        floor=first.http.percentile(0.5), beside="first page", target=DEPTH_TARGET, sense="<=",
    )  # fmt: skip
