"""Pools: what is in them, what that holds together, and what is told of it."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.ingestion.inlet import NOON, Inlet, account, balance

from paymux.domain.ids import AccountParts, ConnectorID, account_id, parse_account_id
from paymux.services import pooling
from paymux.services.pooling import (
    NoSuchAccount,
    NoSuchPool,
    NotInPool,
    Pooling,
    PoolNameTaken,
    PoolTooLarge,
)
from paymux.storage import accounts, installations, pools
from paymux.storage.database import Database
from paymux.storage.listing import Asked, TooSlow

HOUR = timedelta(hours=1)


@pytest.fixture
async def inlet(database: Database) -> Inlet:
    return await Inlet.open(database)


@pytest.fixture
def desk(database: Database) -> Pooling:
    return Pooling(database, lambda: None)


def named(inlet: Inlet, reference: str = "a", provider: str = "EXAMPLE") -> AccountParts:
    return AccountParts(ConnectorID(provider, inlet.holder.uuid), reference)


async def in_pool(database: Database, pool: UUID) -> set[str]:
    return {row["reference"] for row in await pools.accounts(database, [pool])}


async def held(database: Database, pool: UUID, at: datetime | None = None) -> dict[str, int]:
    return {row["asset"]: row["amount"] for row in await pools.balances(database, pool, at)}


async def told(database: Database) -> list[tuple[str, dict[str, Any]]]:
    rows = await database.fetch("SELECT type, object, facts FROM event WHERE type LIKE '%POOL' ORDER BY seq")
    return [(row["type"], {"id": row["object"], **json.loads(row["facts"])}) for row in rows]


async def test_each_change_is_told_and_what_changes_nothing_is_not(
    database: Database, inlet: Inlet, desk: Pooling
) -> None:
    """With all that is in the pool then; an account that is named twice is in it once."""
    await inlet.ingest(accounts=[account("a"), account("b")])
    a, b = (named(inlet, one) for one in "ab")
    pool = await desk.create("treasury", [a, a])
    await desk.add(pool, b)
    await desk.add(pool, b)
    await desk.remove(pool, a)
    await desk.delete(pool)

    events = await told(database)
    ids = {one: account_id(ConnectorID("EXAMPLE", inlet.holder.uuid), one) for one in "ab"}
    assert [(kind, sorted(facts.get("accountIDs", ()))) for kind, facts in events] == [
        ("SAVED_POOL", [ids["a"]]),
        ("SAVED_POOL", sorted(ids.values())),
        ("SAVED_POOL", [ids["b"]]),
        ("DELETED_POOL", []),
    ]
    assert {facts["id"] for _, facts in events} == {pool}
    assert parse_account_id(ids["a"]) == a


async def test_nothing_is_made_of_what_is_wrong(database: Database, inlet: Inlet, desk: Pooling) -> None:
    """The account that there is not is named by its place; a name that is taken is left as it is."""
    await inlet.ingest(accounts=[account("a")])
    for wrong in (named(inlet, "b"), named(inlet, "a", "OTHER"), named(inlet, "a\0")):
        with pytest.raises(NoSuchAccount) as refused:
            await desk.create("treasury", [named(inlet), wrong])
        assert refused.value.place == 1
    pool = await desk.create("treasury", [named(inlet)])
    with pytest.raises(PoolNameTaken):
        await desk.create("treasury", [named(inlet)])
    with pytest.raises(NoSuchAccount):
        await desk.add(pool, named(inlet, "b"))
    with pytest.raises(NotInPool):
        await desk.remove(pool, named(inlet, "b"))
    for nothing in (
        desk.delete(uuid4()),
        desk.add(uuid4(), named(inlet)),
        desk.remove(uuid4(), named(inlet)),
    ):
        with pytest.raises(NoSuchPool):
            await nothing

    assert await in_pool(database, pool) == {"a"}
    assert await database.fetchval("SELECT count(*) FROM pool") == 1
    assert len(await told(database)) == 1


async def test_many_at_once_all_get_in(database: Database, inlet: Inlet, desk: Pooling) -> None:
    """Each tells what is in the pool with it, so the last event tells of all."""
    references = [str(number) for number in range(12)]
    await inlet.ingest(accounts=[account(one) for one in references])
    pool = await desk.create("treasury", [named(inlet, "0")])
    await asyncio.gather(*(desk.add(pool, named(inlet, one)) for one in references))

    assert await in_pool(database, pool) == set(references)
    assert [len(facts["accountIDs"]) for _, facts in await told(database)] == list(range(1, 13))


async def test_of_those_who_want_one_name_one_gets_it(inlet: Inlet, desk: Pooling) -> None:
    """And the others are told so."""
    await inlet.ingest(accounts=[account("a")])
    made = await asyncio.gather(
        *(desk.create("treasury", [named(inlet)]) for _ in range(6)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in made) == ["PoolNameTaken"] * 5 + ["UUID"]


async def test_an_account_comes_back_after_a_reset_and_goes_with_an_uninstall(
    database: Database, inlet: Inlet, desk: Pooling
) -> None:
    """What is not there is not shown, and counts for nothing; other accounts stay as they are."""
    other = await Inlet.open(database)
    for one in (inlet, other):
        await one.ingest(accounts=[account("a")], balances=[balance(5, NOON)])
    pool = await desk.create("treasury", [named(inlet), named(other)])
    key = inlet.holder.installation
    assert await held(database, pool) == {"EUR/2": 10}

    async with database.transaction() as db:
        await installations.reset(db, key, installations.NOBODY)
    assert await held(database, pool) == {"EUR/2": 5}
    assert len(await pools.accounts(database, [pool])) == 1
    while await installations.empty(database, key):
        pass
    await database.execute("UPDATE installation SET status = 'INSTALLED' WHERE id = $1", key)
    assert await held(database, pool) == {"EUR/2": 5}
    assert len(await pools.accounts(database, [pool])) == 1
    await inlet.ingest(accounts=[account("a")], balances=[balance(7, NOON)])
    assert await held(database, pool) == {"EUR/2": 12}
    assert len(await pools.accounts(database, [pool])) == 2

    async with database.transaction() as db:
        await installations.leave(db, key)
    while await installations.empty(database, key):
        pass
    await installations.delete(database, key)
    assert await held(database, pool) == {"EUR/2": 5}
    assert await database.fetchval("SELECT count(*) FROM pool_account") == 1


async def test_an_account_shows_its_pools(database: Database, inlet: Inlet, desk: Pooling) -> None:
    """None, one, several."""
    await inlet.ingest(accounts=[account("a")])
    key = await database.fetchval("SELECT key FROM account")
    made: set[UUID] = set()
    for name in ("", "one", "two"):
        if name:
            made.add(await desk.create(name, [named(inlet)]))
        row = await accounts.get(database, key)
        assert row is not None
        assert set(row["pools"]) == made


async def test_a_pool_is_bounded_and_so_is_what_is_told(
    database: Database, inlet: Inlet, desk: Pooling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is refused, and more than a broker takes is left out of the event."""
    await inlet.ingest(accounts=[account(str(number)) for number in range(4)])
    monkeypatch.setattr(pooling, "ACCOUNTS_MAX", 3)
    monkeypatch.setattr(pooling, "TOLD_MAX", 2)
    with pytest.raises(PoolTooLarge):
        await desk.create("treasury", [named(inlet, str(number)) for number in range(4)])
    pool = await desk.create("treasury", [named(inlet, "0"), named(inlet, "1")])
    await desk.add(pool, named(inlet, "2"))
    with pytest.raises(PoolTooLarge):
        await desk.add(pool, named(inlet, "3"))

    assert await in_pool(database, pool) == {"0", "1", "2"}
    assert [facts["accountIDs"] and len(facts["accountIDs"]) for _, facts in await told(database)] == [
        2,
        None,
    ]


async def test_a_list_of_very_large_pools_is_asked_for_in_parts(
    database: Database, inlet: Inlet, desk: Pooling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer is in memory as a whole, so it has a limit; a page of fewer pools has them all."""
    await inlet.ingest(accounts=[account(str(number)) for number in range(3)])
    everything = [named(inlet, str(number)) for number in range(3)]
    made = [await desk.create(name, everything) for name in ("one", "two")]
    monkeypatch.setattr(pools, "SHOWN_MAX", 5)
    with pytest.raises(TooSlow, match="pageSize"):
        await pools.listed(database, Asked(), 10)

    found, _ = await pools.listed(database, Asked(), 1)
    assert [(row["id"], len(of)) for row, of in found] == [(made[1], 3)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["EUR/2", "USD/2", "ETH/18"]),
            st.integers(-(10**40), 10**40),
            st.integers(0, 5),
        ),
        max_size=25,
        unique_by=lambda one: (one[0], one[1], one[3]),
    ),
    members=st.sets(st.sampled_from("abc"), min_size=1),
)
async def test_it_holds_what_its_accounts_hold(
    database: Database, said: list[tuple[str, str, int, int]], members: set[str]
) -> None:
    """At any time: of each account and asset what was said last before, to the last digit."""
    inlet = await Inlet.open(database)
    await inlet.ingest(accounts=[account(one) for one in "abc"])
    said.sort(key=lambda one: one[3])
    await inlet.ingest(
        balances=[balance(minor, NOON + hour * HOUR, one, asset) for one, asset, minor, hour in said]
    )
    desk = Pooling(database, lambda: None)
    pool = await desk.create(str(uuid4()), [named(inlet, one) for one in members])

    for hour in (-1, *range(6), 99, None):
        latest = {
            (one, asset): minor
            for one, asset, minor, at in said
            if one in members and (hour is None or at <= hour)
        }
        expected: dict[str, int] = {}
        for (_, asset), minor in latest.items():
            expected[asset] = expected.get(asset, 0) + minor
        assert await held(database, pool, None if hour is None else NOON + hour * HOUR) == expected


async def test_looks_at_balances_by_their_key_alone(database: Database, inlet: Inlet) -> None:
    """Many accounts with a long history each: one row an asset is read, also by a plan of emptier days."""
    pool, ask = uuid4(), pools._SQL["balances"]
    async with database.transaction() as db:
        for _ in range(10):
            assert await db.fetch(ask, pool, None) == []
        await db.execute(
            "INSERT INTO account (key, installation, reference, type, created_at)"
            " SELECT md5(n::text)::uuid, $1, n::text, 'INTERNAL', now() FROM generate_series(1, 2000) AS n",
            inlet.holder.installation,
        )
        await db.execute(
            "INSERT INTO balance (account, asset, created_at, last_updated_at, amount)"
            " SELECT md5(n::text)::uuid, 'EUR/2', at, at, n FROM generate_series(1, 2000) AS n,"
            " generate_series($1::timestamptz, $1::timestamptz + interval '19 h', interval '1 h') AS at",
            NOON,
        )
        await db.execute("INSERT INTO pool (id, name) VALUES ($1, 'all')", pool)
        await db.execute("INSERT INTO pool_account SELECT $1, key, installation FROM account", pool)

        (row,) = await db.fetch(ask, pool, None)
        assert (row["asset"], row["amount"]) == ("EUR/2", 2000 * 2001 // 2)
        (read,) = await db.fetch(
            "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'balance'"
        )
        assert tuple(read) == (0, 2000)
