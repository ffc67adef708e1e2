"""What people ask most is answered from an index, by the plans that our own sessions make."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.conftest import TEMPLATE, named
from tests.integration.ingestion.inlet import NOON, Inlet

from paymux.api import filters
from paymux.domain.filter import Compare, Every, Operator
from paymux.domain.ids import ConnectorID, account_id, payment_id, row_key
from paymux.domain.times import rfc3339
from paymux.ingestion.ingester import Holder
from paymux.storage.database import Database, connect
from paymux.storage.listing import Asked, Place, compiled, listed
from paymux.storage.payments import PAYMENTS

ROWS = 200_000
ACCOUNTS = 1000
MINUTE = timedelta(minutes=1)
BATCH = 50_000
# Every 5,000th is disputed, every 10th has metadata.
_INSERT = """
INSERT INTO payment (key, installation, reference, type, first_type, status, scheme, asset, amount,
                     initial_amount, source, destination, metadata, hash, head, head_at, first_at, created_at)
SELECT key, installation, 'p' || n, 'PAYOUT', 'PAYOUT',
       CASE WHEN n % 5000 = 0 THEN 'DISPUTE' WHEN n % 20 = 0 THEN 'PENDING' ELSE 'SUCCEEDED' END, 'visa',
       'EUR/2', n, n, source, CASE WHEN n % 3 > 0 THEN destination END,
       CASE WHEN n % 10 = 0 THEN jsonb_build_object('order', n::text, 'channel', 'web') END,
       key, key, at, at, at
FROM unnest($1::integer[], $2::integer[], $3::uuid[], $4::uuid[], $5::uuid[])
     AS i (n, installation, key, source, destination),
     LATERAL (SELECT $6::timestamptz + n * interval '1 minute') AS t (at)
"""


class Stock:
    """Many payments of three installations, a small one among them."""

    def __init__(self, database: Database, holders: list[Holder]) -> None:
        self.database = database
        self.holders = holders

    async def fill(self) -> None:
        """As a day of quiet leaves the table."""
        for start in range(0, ROWS, BATCH):
            rows = [self._row(number) for number in range(start, start + BATCH)]
            await self.database.execute(_INSERT, *map(list, zip(*rows, strict=True)), NOON)
        await self.database.execute("ANALYZE")

    def _row(self, number: int) -> tuple[Any, ...]:
        holder = self.holders[2 if number % 1000 == 0 else number % 2]
        source, destination = f"a{number % ACCOUNTS}", f"a{number // 7 % ACCOUNTS}"
        return (
            number,
            holder.installation,
            row_key(holder.uuid, "payment", f"p{number}"),
            row_key(holder.uuid, "account", source),
            row_key(holder.uuid, "account", destination),
        )

    async def plan(self, asked: Asked) -> str:
        """The plan of a page of fifteen, with the values that are asked for."""
        installations = [holder.uuid for holder in self.holders]
        sql, arguments = compiled(PAYMENTS, asked, 16, installations)
        return str(await self.database.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *arguments))


@pytest.fixture(scope="module")
def filled(server_url: str) -> Iterator[tuple[str, list[Holder]]]:
    """A database that these tests share, for none of them writes."""
    url = named(server_url, "plans")

    async def make() -> list[Holder]:
        admin = await connect(server_url)
        await admin.execute("DROP DATABASE IF EXISTS plans WITH (FORCE)")
        await admin.execute(f"CREATE DATABASE plans TEMPLATE {TEMPLATE}")
        await admin.close()
        database = await Database.open(url)
        stock = Stock(database, [(await Inlet.open(database)).holder for _ in range(3)])
        await stock.fill()
        await database.close()
        return stock.holders

    async def drop() -> None:
        admin = await connect(server_url)
        await admin.execute("DROP DATABASE plans WITH (FORCE)")
        await admin.close()

    yield url, asyncio.run(make())
    asyncio.run(drop())


@pytest.fixture
async def stock(filled: tuple[str, list[Holder]]) -> AsyncIterator[Stock]:
    """A session like those of the service."""
    database = await Database.open(filled[0])
    yield Stock(database, filled[1])
    await database.close()


async def test_no_common_question_reads_every_payment(stock: Stock) -> None:
    """By id, reference, installation, status, time, account or metadata: on the first page and beyond."""
    small = ConnectorID("EXAMPLE", stock.holders[2].uuid)
    large = ConnectorID("EXAMPLE", stock.holders[0].uuid)
    account = account_id(large, "a500")
    wires: dict[str, dict[str, Any]] = {
        "id": {"$match": {"id": payment_id(large, "p100", "PAYOUT")}},
        "ids": {"$in": {"id": [payment_id(large, f"p{n}", "PAYOUT") for n in range(0, 40, 2)]}},
        "reference": {"$match": {"reference": "p77777"}},
        "references": {"$in": {"reference": ["p1", "p77777"]}},
        "installation": {"$match": {"connectorID": large.encode()}},
        "small installation": {"$match": {"connectorID": small.encode()}},
        "provider": {"$match": {"provider": "example"}},
        "status": {"$match": {"status": "SUCCEEDED"}},
        "rare status": {"$match": {"status": "DISPUTE"}},
        "status nobody has": {"$match": {"status": "REFUNDED"}},
        "statuses": {"$in": {"status": ["DISPUTE", "REFUNDED"]}},
        "time": {"$and": [{"$gte": {"createdAt": rfc3339(NOON + 1000 * MINUTE)}},
                          {"$lt": {"createdAt": rfc3339(NOON + 2000 * MINUTE)}}]},
        "since": {"$gte": {"createdAt": rfc3339(NOON)}},
        "source": {"$match": {"sourceAccountID": account}},
        "destination": {"$match": {"destinationAccountID": account}},
        "either": {"$or": [{"$match": {"sourceAccountID": account}},
                           {"$match": {"destinationAccountID": account}}]},
        "metadata": {"$match": {"metadata[order]": "100"}},
        "common metadata": {"$match": {"metadata[channel]": "web"}},
        "metadata of some": {"$in": {"metadata[order]": ["100", "200"]}},
        "several": {"$and": [{"$match": {"status": "DISPUTE"}}, {"$match": {"connectorID": large.encode()}},
                             {"$gt": {"amount": 10}}]},
        "one or another": {"$or": [{"$match": {"reference": "p1"}}, {"$match": {"metadata[order]": "100"}},
                                   {"$match": {"status": "DISPUTE"}}]},
    }  # fmt: skip
    place: Place = (NOON + 100_000 * MINUTE, row_key(large.reference, "payment", "p100000"))
    for name, wire in wires.items():
        where = filters.condition(wire, PAYMENTS.columns)
        for asked in (Asked(where), Asked(where, at=place), Asked(where, at=place, backwards=True)):
            plan = await stock.plan(asked)
            assert not sequential(plan), f"{name}: {plan}"


@pytest.mark.parametrize(
    ("sort", "index"),
    [("", "payment_list"), ("createdAt:asc", "payment_list"), ("status:asc", "payment_status"),
     ("status:desc", "payment_status"), ("id:desc", "payment_pkey")],
)  # fmt: skip
async def test_an_order_that_an_index_has_is_read_from_it(stock: Stock, sort: str, index: str) -> None:
    """A page anywhere is read from where it begins, in either direction."""
    order = filters.order([sort], PAYMENTS.columns)
    key, at = row_key(stock.holders[0].uuid, "payment", "p100000"), NOON + 100_000 * MINUTE
    place: Place = {"s": ("SUCCEEDED", at, key), "i": (key,)}.get(sort[:1], (at, key))
    for asked in (Asked(None, order), Asked(None, order, place), Asked(None, order, place, backwards=True)):
        plan = await stock.plan(asked)
        assert f'"Index Name": "{index}"' in plan, plan
        assert not sequential(plan), plan


async def test_each_question_is_planned_for_what_it_asks(stock: Stock) -> None:
    """However often one of its shape was asked: a plan for any value would look in every payment."""
    where = filters.condition({"$match": {"metadata[order]": "100"}}, PAYMENTS.columns)
    assert "payment_metadata" in await stock.plan(Asked(where))
    for _ in range(8):  # by one connection, for there is never need of a second
        await listed(stock.database, PAYMENTS, Asked(where), 16)
    kept = (
        "SELECT statement FROM pg_prepared_statements WHERE generic_plans > 0 AND strpos(statement, $1) > 0"
    )
    assert await stock.database.fetch(kept, "@>") == []


async def test_the_newest_of_an_account_come_in_order(stock: Stock) -> None:
    """However many payments an account has, a page reads a page."""
    large = ConnectorID("EXAMPLE", stock.holders[0].uuid)
    where = filters.condition({"$match": {"sourceAccountID": account_id(large, "a500")}}, PAYMENTS.columns)
    within = Compare("connectorID", Operator.MATCH, large)
    for asked in (Asked(where), Asked(Every((within, where)))):
        plan = await stock.plan(asked)
        assert "payment_source" in plan, plan


def sequential(plan: str) -> list[Any]:
    """Nodes that read all of the payments, one after the other."""
    found: list[Any] = []

    def look(node: dict[str, Any]) -> None:
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "payment":
            found.append(node)
        for inner in node.get("Plans", []):
            look(inner)

    look(json.loads(plan)[0]["Plan"])
    return found
