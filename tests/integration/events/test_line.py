"""The line of events: whoever remembers a place has all before it, whenever what is before was committed."""

import asyncio
import random
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from tests.integration.ingestion.inlet import Inlet, payment

from paymux.events.telling import Telling
from paymux.storage import events, readings, sinks
from paymux.storage.database import Connection, Database


async def write(db: Connection, object_: UUID, number: int) -> None:
    """The ``number``th event of an object."""
    facts = {"n": number}
    await events.insert(db, installation=None, type="SAVED_POOL", object=object_, part=uuid4(), facts=facts)


async def walk(database: Database, place: int, size: int = 3) -> tuple[list[tuple[UUID, str]], int]:
    """Everything behind a place, page by page; and the place reached."""
    found: list[tuple[UUID, str]] = []
    while True:
        await events.line_up(database)
        rows, _ = await events.after(database, place, size)
        found += [(row["object"], row["facts"]) for row in rows]
        place = rows[-1]["position"] if rows else place
        if len(rows) < size:
            return found, place


async def test_what_is_committed_late_comes_late_and_is_not_skipped(database: Database) -> None:
    """Its number is lower than that of all that a reader has seen; one who remembers numbers loses it."""
    late, others = uuid4(), [uuid4() for _ in range(7)]
    async with database.transaction() as held:
        await write(held, late, 0)
        async with database.connection() as db:
            for number, other in enumerate(others):
                await write(db, other, number)
        before, place = await walk(database, 0)
        assert [object_ for object_, _ in before] == others
    after, _ = await walk(database, place)

    assert [object_ for object_, _ in after] == [late]
    rows = await database.fetch("SELECT seq, object FROM event ORDER BY position")
    assert rows[-1]["object"] == late
    assert rows[-1]["seq"] == min(row["seq"] for row in rows)


async def test_readers_amid_writers_see_everything_once_and_in_order(database: Database) -> None:
    """Writers take their time; each object is written under its lock, as in the product."""
    objects = [uuid4() for _ in range(5)]
    written: dict[UUID, int] = dict.fromkeys(objects, 0)
    await database.execute("CREATE TABLE pool_lock (id uuid PRIMARY KEY, n integer NOT NULL DEFAULT 0)")
    await database.execute("INSERT INTO pool_lock (id) SELECT unnest($1::uuid[])", objects)
    dice = random.Random(7)  # noqa: S311 - no secret
    over = asyncio.Event()

    async def writer() -> None:
        for _ in range(40):
            chosen = sorted(dice.sample(objects, dice.randint(1, 2)))
            async with database.transaction() as db:
                await write(db, uuid4(), 0)  # takes a number before any lock
                for one in chosen:
                    await asyncio.sleep(dice.random() / 200)
                    number = await db.fetchval(
                        "UPDATE pool_lock SET n = n + 1 WHERE id = $1 RETURNING n", one
                    )
                    await write(db, one, number)
                await asyncio.sleep(dice.random() / 100)
            for one in chosen:
                written[one] += 1

    async def reader() -> list[tuple[UUID, str]]:
        found, place = await walk(database, 0)
        while not over.is_set():
            more, place = await walk(database, place)
            found += more
            await asyncio.sleep(0.001)
        return [*found, *(await walk(database, place))[0]]

    reading = [asyncio.create_task(reader()) for _ in range(2)]
    await asyncio.gather(*(writer() for _ in range(4)))
    over.set()
    first, second = await asyncio.gather(*reading)

    assert first == second
    assert len(first) == sum(written.values()) + 160
    for one in objects:
        seen = [facts for object_, facts in first if object_ == one]
        assert seen == [f'{{"n":{number}}}' for number in range(1, written[one] + 1)]
    places = await database.fetch("SELECT position FROM event ORDER BY position")
    assert [row["position"] for row in places] == list(range(1, len(first) + 1))


async def test_a_rare_type_is_looked_for_in_steps(database: Database) -> None:
    """However many others there are: so far and no further at a time, and from there on next time."""
    await database.execute(
        "INSERT INTO event (type, object, part, position)"
        " SELECT CASE WHEN n = $1 THEN 'SAVED_POOL' ELSE 'X' END, gen_random_uuid(), gen_random_uuid(), n"
        " FROM generate_series(1, $1) AS n",
        events.WINDOW + 5,
    )
    await database.execute("UPDATE outbox SET last = $1", events.WINDOW + 5)

    rows, until = await events.feed(database, 0, 10, types=["SAVED_POOL"], installation=None)
    assert (rows, until) == ([], events.WINDOW)
    assert until
    rows, end = await events.feed(database, until, 10, types=["SAVED_POOL"], installation=None)
    assert ([row["position"] for row in rows], end) == ([events.WINDOW + 5], None)


async def test_large_events_are_read_a_few_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One may be of megabytes: together they come to so many bytes, and no more than one that is larger."""
    sizes = [20, 30, 60, 200, 10, 90, 1]
    async with database.connection() as db:
        for size in sizes:
            await db.execute(
                "INSERT INTO event (type, object, part, facts)"
                " VALUES ('SAVED_POOL', gen_random_uuid(), gen_random_uuid(), repeat('x', $1))",
                size,
            )
        await events.line_up(db)
    monkeypatch.setattr(events, "BYTES", 100)

    read: list[list[int]] = []
    place = 0
    for _ in range(4):
        rows, until = await events.after(database, place, 100)
        read.append([len(row["facts"]) for row in rows])
        place = rows[-1]["position"]
        assert until == (None if place == len(sizes) else place)
    assert read == [[20, 30], [60], [200], [10, 90]]
    rows, until = await events.feed(database, 0, 100, types=["SAVED_POOL"], installation=None)
    assert ([row["position"] for row in rows], until) == ([1, 2], 2)


async def test_metadata_is_of_the_bytes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payment's may be a megabyte, as its raw form may be of several."""
    inlet = await Inlet.open(database)
    large = {"k": "x" * 1000}
    await inlet.ingest(payments=[payment(f"p{number}", metadata=large) for number in range(5)])
    await events.line_up(database)
    monkeypatch.setattr(events, "BYTES", 2500)

    rows, until = await events.after(database, 0, 10)
    assert (len(rows), until) == (2, 2)


async def test_old_events_go_when_every_sink_has_them(database: Database) -> None:
    """From the front of the line, and none that one sink has yet to be told; what is beyond is remembered."""
    await sinks.declare(database, ["quick", "slow"])
    async with database.connection() as db:
        for number in range(6):
            await write(db, uuid4(), number)
        await events.line_up(db)
        await sinks.told(db, "quick", 6)
        await sinks.told(db, "slow", 4)
        await db.execute("UPDATE event SET created_at = now() - interval '3 hours' WHERE position <> 3")
        assert await events.prune(database, timedelta(hours=4)) == 0
        assert await events.prune(database, timedelta(hours=2)) == 3
        left = await db.fetch("SELECT position FROM event ORDER BY position")

    assert [row["position"] for row in left] == [3, 5, 6]
    assert await events.ends(database) == events.Ends(last=6, pruned=4)
    assert (await readings.outbox(database))["waiting"] == 2


async def test_old_dead_letters_go_and_others_stay(database: Database) -> None:
    """Also those that are still offered again, however old."""
    await sinks.declare(database, ["one"])
    async with database.connection() as db:
        letters = [sinks.Refused(uuid4(), "X", uuid4(), f"{number}", "no") for number in range(3)]
        await sinks.told(db, "one", 0, letters)
        await db.execute("UPDATE refused_event SET retry_at = NULL WHERE body <> '2'")
        await db.execute("UPDATE refused_event SET refused_at = now() - interval '3 hours' WHERE body <> '0'")
        telling = Telling(database, {}, retention=timedelta(hours=2))
        assert await telling.prune() == 1
        assert [row["body"] for row in await db.fetch("SELECT body FROM refused_event ORDER BY body")] == [
            "0",
            "2",
        ]


async def test_a_new_sink_begins_now_and_an_old_one_where_it_was(database: Database) -> None:
    """The first of all begins at the beginning; one that is not named any more holds up nobody."""
    async with database.connection() as db:
        await write(db, uuid4(), 1)
        await sinks.declare(database, ["first"])
        await events.line_up(db)
        await sinks.declare(database, ["first", "second"])
        await write(db, uuid4(), 2)
        found = await db.fetch("SELECT name, position FROM sink ORDER BY name")
        assert [tuple(row) for row in found] == [("first", 0), ("second", 1)]

        await sinks.declare(database, ["second"])
        await sinks.told(db, "second", 2)
        assert await db.fetchval("SELECT told_everywhere()") == 2
        await sinks.declare(database, ["first", "second"])
        assert await db.fetchval("SELECT told_everywhere()") == 0
