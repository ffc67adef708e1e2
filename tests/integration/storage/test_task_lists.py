"""Lists of tasks and runs, and health: by index, however many there are."""

import json
from typing import Any
from uuid import uuid4

import pytest
from tests.integration.storage.book import Book

from paymux.domain.task import Restart, Schedule, TaskStatus
from paymux.storage import health, task_lists, tasks
from paymux.storage.database import Database
from paymux.storage.keyset import backwards
from paymux.storage.statements import statements
from paymux.storage.task_lists import Wanted
from paymux.storage.tasks import Plan

TASKS = 120_000
RUNS = 60_000

# An installation with much history, 50 small ones, and one with a long line.
_FILL = """
INSERT INTO installation (uuid, provider, name, config, max_tasks, status)
SELECT gen_random_uuid(), 'BOOK', 'book ' || n, '', 10, 'INSTALLED' FROM generate_series(1, 50) n;
INSERT INTO task (id, installation, descriptor, schedule, period, restart, status, next_run_at, waiting,
                  attempts, error, created_at)
SELECT gen_random_uuid(), i.id,
       CASE WHEN n % 100 = 0 THEN '"scan"' ELSE '{{"read":{{"file":"' || n || '"}}}}' END,
       CASE WHEN n % 100 = 0 THEN 'EVERY' ELSE 'NOW' END, CASE WHEN n % 100 = 0 THEN interval '1 hour' END,
       'NEVER', s.status,
       CASE WHEN s.status IN ('ACTIVE', 'PENDING') THEN now() + interval '1 hour' END,
       CASE WHEN s.status = 'PENDING' THEN n END,
       CASE WHEN s.status = 'FAILED' THEN 1 ELSE 0 END, CASE WHEN s.status = 'FAILED' THEN 'no' END,
       now() - n * interval '1 second'
FROM generate_series(1, {tasks}) n
JOIN installation i ON i.id = CASE WHEN n % 4 = 0 THEN 2 + n % 50 WHEN n % 4 = 1 THEN 2 ELSE 1 END,
LATERAL (SELECT CASE WHEN n % 100 = 0 THEN 'ACTIVE' WHEN n % 997 = 0 THEN 'FAILED'
                     WHEN n % 4 = 1 THEN 'PENDING' ELSE 'TERMINATED' END AS status) s;
UPDATE task SET name = task_name(descriptor);
VACUUM task;
INSERT INTO run SELECT n, (SELECT id FROM task ORDER BY id LIMIT 1), 1, now(), now(),
                       CASE WHEN n % 3 = 0 THEN 'SUCCEEDED' ELSE 'FAILED' END, NULL, 0, 0, 0, 0, 0
FROM generate_series(1, {runs}) n;
ANALYZE
"""


@pytest.fixture
async def full(book: Book) -> Book:
    """A book beside many others, with many tasks."""
    await book.database.execute("ALTER SEQUENCE task_line RESTART WITH 1000000")
    for statement in _FILL.format(tasks=TASKS, runs=RUNS).split(";"):
        await book.database.execute(statement)
    return book


def text(value: Any) -> str | None:
    """A parameter as the database reads it."""
    if isinstance(value, list):
        return f"{{{','.join(value)}}}"
    return None if value is None else str(value)


async def plan(db: Database, sql: str, *args: Any) -> tuple[set[str], int]:
    """Of the plan for any values, as a connection comes to use it: its sequential scans, and pages read."""
    kinds: set[str] = set()

    def walk(node: dict[str, Any]) -> None:
        if node["Node Type"] == "Seq Scan":
            kinds.add(node["Relation Name"])
        for child in node.get("Plans", ()):
            walk(child)

    async with db.transaction() as connection:
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"PREPARE asked AS {sql}")
        values = ", ".join(
            [await connection.fetchval("SELECT quote_nullable($1::text)", text(arg)) for arg in args]
        )
        found = await connection.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked {f'({values})' if args else ''}"
        )
        await connection.execute("DEALLOCATE asked")
    top = json.loads(found)[0]["Plan"]
    walk(top)
    return kinds, top["Shared Hit Blocks"] + top["Shared Read Blocks"]


async def test_lists_and_health_stay_fast(full: Book) -> None:
    """No statement reads the tables of tasks or runs whole, nor more pages than it shows rows, by far."""
    db = full.database
    lists, looks = statements("task_lists"), statements("health")
    every = [str(status) for status in TaskStatus]
    (deep,) = await db.fetch("SELECT created_at, id FROM task ORDER BY created_at LIMIT 1 OFFSET 20000")
    asked: list[tuple[str, tuple[Any, ...], int]] = []
    for place in ((None, None), (deep["created_at"], deep["id"])):
        for installation, pages in ((1, 60), (None, 2000)):
            asked += [
                (lists["list"], (installation, *place, 16), pages),
                (lists["list_by_status"], (installation, *place, 16, ["FAILED"]), pages),
                (lists["list_by_status"], (installation, *place, 16, ["STOPPED"]), pages),
                (lists["list_by_name"], (installation, *place, 16, every, "scan"), pages),
                (lists["list_by_name"], (installation, *place, 16, ["FAILED"], "read"), pages),
                (lists["list_by_name"], (installation, *place, 16, every, "none"), pages),
            ]
    asked += [(backwards(sql), args, pages) for sql, args, pages in asked if args[1] is not None]
    task = await db.fetchval("SELECT task FROM run LIMIT 1")
    asked += [
        (lists["runs"], (task, RUNS // 2, 16), 20),
        (backwards(lists["runs"]), (task, RUNS // 2, 16), 20),
        (looks["all"], (None,), 2000),
        (looks["failing"], (1, 10), 200),
        (looks["config_error"], (1,), 200),
        # Whole: those that are not finished, and an entry of the index for each of the others.
        (looks["counts"], (2,), 5000),
        (looks["times"], (1,), 500),
        # Those that are not finished: a quarter wait in line.
        (statements("tasks")["neglected_tasks"], (), 20_000),
        (statements("tasks")["prune_runs"], ("1 hour", 1000), 1500),
    ]
    for sql, args, pages in asked:
        scanned, read = await plan(db, sql, *args)
        assert not scanned & {"task", "run"}, sql
        assert read <= pages, sql


async def test_a_walk_through_a_filtered_list_meets_each_task_once(full: Book) -> None:
    """Over all installations as over one, whatever is picked; newest first, and the same way back."""
    db = full.database
    for wanted, where in (
        (Wanted(None, TaskStatus.FAILED, None), "status = 'FAILED'"),
        (Wanted(None, None, "scan"), "name = 'scan'"),
        (Wanted(1, None, "scan"), "name = 'scan' AND installation = 1"),
        (Wanted(2, TaskStatus.ACTIVE, "scan"), "name = 'scan' AND installation = 2 AND status = 'ACTIVE'"),
        (Wanted(2, TaskStatus.FAILED, "scan"), "false"),
        (Wanted(17, None, None), "installation = 17"),
    ):
        rows = await db.fetch(f"SELECT id FROM task WHERE {where} ORDER BY created_at DESC, id DESC")  # noqa: S608 - from above
        seen: list[Any] = []
        after = None
        while page := await task_lists.listed(db, wanted, after, 100):
            seen += [row["id"] for row in page]
            after = page[-1]["created_at"], page[-1]["id"]
        assert seen == [row["id"] for row in rows]
        back: list[Any] = []
        while after and (page := await task_lists.listed(db, wanted, after, 100, back=True)):
            back = [*(row["id"] for row in page), *back]
            after = page[0]["created_at"], page[0]["id"]
        assert back == seen[:-1]


async def test_the_name_of_a_task_is_what_its_descriptor_names(book: Book) -> None:
    """Of the forms that ``@task`` makes; what is written otherwise has none."""
    named = {
        '"scan"': "scan", '{"read":{"file":"a.json"}}': "read", '["a.json",1]': None, "1": None,
        '{"key":"fetch","name":"x"}': None, '""': None, f'"{"x" * 300}"': None, '"a\\"b"': None,
    }  # fmt: skip
    plans = [Plan(uuid4(), descriptor, Schedule.now(), Restart.NEVER) for descriptor in named]
    async with book.database.transaction() as db:
        await tasks.schedule(db, book.key, plans)
    rows = await book.database.fetch("SELECT descriptor, name FROM task")

    assert {row["descriptor"]: row["name"] for row in rows} == named


async def test_the_lag_is_that_of_whoever_has_waited_longest(book: Book) -> None:
    """In line, or given a place that no worker has taken up; nobody is late while nothing is due."""
    assert (await health.times(book.database, book.key))["lag_seconds"] == 0
    await book.schedule("a", "b")
    await book.database.execute(
        "UPDATE task SET next_run_at = now() - CASE WHEN place THEN interval '10 s' ELSE interval '5 s' END"
    )
    assert 10 <= (await health.times(book.database, book.key))["lag_seconds"] < 15
    await book.tell("cancel", "a")
    await book.tell("cancel", "b")
    times = await health.times(book.database, book.key)

    assert (times["lag_seconds"], times["next_run_at"], times["last_success_at"]) == (0, None, None)
