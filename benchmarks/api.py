"""The interface over a million payments: a real ``paymux serve``, beside the driver alone asking for them.

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

from benchmarks import ground, record
from benchmarks.export import export
from benchmarks.figures import Figure, say
from benchmarks.http_client import Connection, Latencies, hammer
from benchmarks.processes import Serving, cpu, serving
from paymux.domain.ids import ConnectorID, account_id, parse_payment_id, row_key
from paymux.ingestion.ingester import Holder
from paymux.storage.database import Database

PAYMENTS = 1_000_000
CONCURRENCIES = (1, 8)
# Seconds for one question in one round.
SLICE = 0.3
ROUNDS = 12
# A page anywhere costs what the first does.
DEPTH_TARGET = 1.3
# Rows of an ordinary page, and of the largest.
_SIZE, _LARGE = 15, 100

# A page with its reports and accounts, as plainly as it can be asked for: the plan is made once.
_LIST = """
WITH page AS (
    SELECT * FROM payment p WHERE {where} ORDER BY p.created_at DESC, p.key DESC LIMIT {limit}
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
_ONE, _ALL = "1", "ALL"
_POOL = """
SELECT b.asset, sum(b.amount) FROM (
    SELECT DISTINCT ON (b.account, b.asset) b.asset, b.amount
    FROM pool_account m JOIN balance b ON b.account = m.account
    WHERE m.pool = $1
    ORDER BY b.account, b.asset, b.created_at DESC
) b GROUP BY b.asset
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
    """Requests a second and latencies of lists, of one payment and of a pool; and an export of everything."""
    count = PAYMENTS // (10 if quick else 1)
    with ground.server() as url, ground.folder() as home:
        return ground.on_loop(lambda: _measure(url, home / "serve.log", count, quick=quick))


async def _measure(url: str, log: Path, count: int, *, quick: bool) -> list[Figure]:
    async with ground.fresh_database(url) as there:
        database = await Database.open(there)
        holder = await ground.holder(database, "bench")
        pool = await record.fill(database, holder, count)
        await database.close()
        settings = {"database_url": there, "encryption_keys": base64.b64encode(ground.KEY).decode()}
        # It blocks the loop until the process is ready, and nothing else is going on here yet.
        with serving(log, **settings) as served:
            lines = await export(served, there, _LIST.format(where="true", limit=_ALL), count)
            questions = await _questions(served.url, holder, pool, count // 2)
            return await _ask(served, there, questions, ROUNDS // (3 if quick else 1)) + lines


async def _questions(url: str, holder: Holder, pool: UUID, depth: int) -> list[Question]:
    connection = await Connection.open(url)
    first, large = f"/payments?pageSize={_SIZE}", f"/payments?pageSize={_LARGE}"
    newest = (await _cursor(connection, first))["data"][0]["id"]
    cursor, row = await _walk(connection, large, depth)
    connection.close()
    deep = "(p.created_at, p.key) < ($1, $2)"
    asked = [
        Question("first page", first, _page("true"), ()),
        Question(f"first page of {_LARGE}", large, _page("true", _LARGE), ()),
        Question(f"page of {_LARGE} at {depth:,}", f"/payments?cursor={cursor}", _page(deep, _LARGE), row),
        Question("one by id", f"/payments/{newest}", _LIST.format(where="p.key = $1", limit=_ONE),
                 (_key(newest),)),
    ]  # fmt: skip
    for name, status in (("common", record.COMMON_STATUS), ("rare", record.RARE_STATUS)):
        path = f"{first}&query={_match(status=status)}"
        asked.append(Question(f"of a {name} status", path, _page("p.status = $1"), (str(status),)))
    (account,) = record.references("account", range(1))
    source = account_id(ConnectorID("BENCH", holder.uuid), account)
    path = f"{first}&query={_match(sourceAccountID=source)}"
    key = row_key(holder.uuid, "account", account)
    asked.append(Question("from an account", path, _page("p.source = $1"), (key,)))
    path = f"/pools/{pool}/balances/latest"
    asked.append(Question(f"balance of a pool of {record.ACCOUNTS:,}", path, _POOL, (pool,)))
    return asked


def _page(where: str, size: int = _SIZE) -> str:
    # One more than is shown tells whether there is a next page.
    return _LIST.format(where=where, limit=size + 1)


def _match(**columns: str) -> str:
    return quote(msgspec.json.encode({"$match": columns}).decode())


async def _walk(connection: Connection, path: str, depth: int) -> tuple[str, tuple[datetime, UUID]]:
    """The cursor of the page that begins at a depth, walked to as a client would, and the row before it."""
    start = time.perf_counter()
    for _ in range(depth // _LARGE):
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
    plain = {"search_path": "paymux", "jit": "off"}
    bare = [await asyncpg.connect(url, server_settings=plain) for _ in range(most)]

    async def ask_all(cases: list[Case]) -> None:
        for case in cases:
            # Anew for each: the service hangs up on those that stand idle.
            connections = [await Connection.open(served.url) for _ in range(case.many)]
            calls = [partial(connection.get, case.question.path) for connection in connections]
            before = cpu([served.pid]), time.process_time()
            await hammer(calls, SLICE, case.http)
            case.server += cpu([served.pid]) - before[0]
            case.client += time.process_time() - before[1]
            for connection in connections:
                connection.close()
            asked = (case.question.sql, *case.question.arguments)
            await hammer([partial(one.fetch, *asked) for one in bare[: case.many]], SLICE / 2, case.bare)

    cases = [Case(question, many) for many in CONCURRENCIES for question in questions]
    await ask_all([Case(case.question, case.many) for case in cases])  # warms up both sides
    for number in range(rounds):
        await ask_all(cases)
        say(f"  api: {number + 1} of {rounds} rounds")
    for one in bare:
        await one.close()
    requests = sum(len(case.http.each) for case in cases)
    say(f"  api: the client used {1e6 * sum(case.client for case in cases) / requests:.0f} µs a request")
    return [_figure(case) for case in cases] + [
        _depth(cases[at + 1], cases[at + 2]) for at in range(0, len(cases), len(questions))
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
