"""The bookkeeping of tasks and runs, statement by statement; jobs come twice, late or not at all."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.storage.book import COUNTS, HOUR, Book

from paymux.domain.task import Restart, Schedule
from paymux.storage import installations, tasks
from paymux.storage.database import INSTALLATION_GONE, DatabaseError, code_of
from paymux.storage.tasks import Begun, Ending, Job


async def test_a_job_that_comes_twice_finds_nothing_to_do(book: Book) -> None:
    """Acknowledgements are late: after the end, the same job is void; so is an end that is written twice."""
    (job,) = await book.schedule("a")
    begun = await book.begun(1, job)
    assert not (await book.finish(begun)).lost

    assert await book.begin(1, job) is None
    assert (await book.finish(begun)).lost
    assert (await book.task("a"))["status"] == "TERMINATED"
    assert await book.database.fetchval("SELECT count(*) FROM run") == 1


async def test_a_job_taken_over_locks_the_first_run_out(book: Book) -> None:
    """The new run has another token; the old one's end is lost, and the history says that it crashed."""
    (job,) = await book.schedule("a")
    first = await book.begun(1, job)
    second = await book.begun(1, job)

    assert second.token > first.token
    assert (await book.finish(first)).lost
    assert not (await book.finish(second)).lost
    rows = await book.database.fetch("SELECT id, outcome FROM run ORDER BY id")
    assert [tuple(row) for row in rows] == [(first.token, "CRASHED"), (second.token, "SUCCEEDED")]


async def test_whoever_takes_over_a_job_takes_over_the_task_it_had_come_to(book: Book) -> None:
    """A worker goes from task to task under one job; it is the last of them that is begun anew."""
    (job,) = await book.schedule("a", "b")
    finished = await book.finish(await book.begun(1, job))
    assert finished.next is not None
    assert finished.jobs == []
    taken = await book.begun(1, job)

    assert finished.next.task == taken.task == book.id("b")
    assert taken.token > finished.next.token


async def test_one_that_was_told_to_stop_is_not_run_again_when_its_worker_dies(book: Book) -> None:
    """It is begun to be ended, and then starts anew with what was asked for."""
    (job,) = await book.schedule("a")
    await book.begun(1, job)
    await book.schedule("a", when=Schedule.after(HOUR), restart=Restart.STOP_AND_RESTART)
    taken = await book.begun(1, job)
    assert taken.cancelled
    (again,) = (await book.finish(taken, Ending("STOPPED"))).jobs

    assert again.delay > HOUR / 2
    assert (await book.task("a"))["status"] == "ACTIVE"


async def test_crashes_in_a_row_are_counted_until_the_task_gets_somewhere(book: Book) -> None:
    """A new checkpoint, or an end of its own, starts the count anew; a rest does not."""
    (job,) = await book.schedule("a")
    runs = [await book.begun(1, job) for _ in range(4)]
    assert [run.crashes for run in runs] == [0, 1, 2, 3]

    (again,) = (await book.finish(runs[-1], Ending("FAILED", "It kills.", timedelta(0), fault="CRASH"))).jobs
    assert (await book.begun(2, again)).crashes == 0  # nobody has died under this one
    assert (await book.begun(2, again)).crashes == 4
    await book.database.execute(
        "SELECT commit_page($1, $2, (SELECT token FROM task WHERE id = $2), '1', NULL, NULL, NULL, NULL)",
        book.key, book.id("a"),
    )  # fmt: skip
    assert (await book.begun(2, again)).crashes == 1


async def test_a_job_that_finds_no_place_puts_its_task_in_line(book: Book) -> None:
    """When the place is free, another job is handed out, though the first is not acknowledged yet."""
    (running,) = await book.schedule("running")
    begun = await book.begun(1, running)
    (due,) = await book.schedule("due", when=Schedule.after(timedelta(seconds=1)))
    assert await book.begin(2, due) is None
    assert (await book.task("due"))["status"] == "PENDING"
    before = await book.keys()
    (job,) = (await book.finish(begun, take_next=False)).jobs

    assert job.task == book.id("due")
    assert len(await book.keys() - before) == 1
    # The first job, delivered once more, does not start it as well.
    assert await book.begin(2, due) is None
    assert await book.begin(3, job) is not None


async def test_places_are_given_in_the_order_of_the_line(book: Book) -> None:
    """Whatever the ids; and scheduling one again does not send it to the end."""
    names = [f"task {number}" for number in range(20)]
    (job,) = await book.schedule(*names)
    await book.schedule(names[5])
    begun: Begun | None = await book.begun(1, job)
    order = []
    while begun is not None:
        order.append(begun.descriptor)
        begun = (await book.finish(begun)).next

    assert order == [f'"{name}"' for name in names]


async def test_a_run_that_is_handed_back_is_neither_a_failure_nor_forgotten(book: Book) -> None:
    """Its error, attempts and schedule are as before; a job for it is out at once."""
    (job,) = await book.schedule("a", when=Schedule.every(HOUR))
    await book.finish(await book.begun(1, job), Ending("FAILED", "why", timedelta(0)))
    row = await book.task("a")
    again = Job(row["id"], row["generation"])
    finished = await book.finish(await book.begun(2, again), Ending("RETURNED"), take_next=False)
    after = await book.task("a")

    assert len(finished.jobs) == 1
    assert [after[field] for field in ("status", "error", "attempts", "period")] == ["FAILED", "why", 1, HOUR]


async def test_ends_are_written_many_at_once_or_left_to_a_transaction(book: Book) -> None:
    """Those that need no job in the engine; one that was scheduled again meanwhile is left as it was."""
    await book.database.execute("UPDATE installation SET max_tasks = 3")
    jobs = await book.schedule("a", "b", "c", "d")
    a, b, c = [await book.begun(number, job) for number, job in enumerate(jobs)]
    await book.schedule("b")
    await book.database.execute("UPDATE task SET token = 999 WHERE id = $1", c.task)
    ended = await tasks.finish_at_once(book.database, [(a, COUNTS), (b, COUNTS), (c, COUNTS)])

    assert ended[0] is not None
    assert ended[0].next is not None
    assert ended[0].next.descriptor == '"d"'
    assert ended[1] is None
    assert (await book.task("b"))["token"] == b.token
    assert ended[2] is not None
    assert ended[2].lost


@pytest.mark.parametrize("restart", [Restart.ALWAYS, Restart.NEVER])
@pytest.mark.parametrize("when", [Schedule.now(), Schedule.after(timedelta(0))])
async def test_an_end_at_once_leaves_what_an_end_alone_does(
    book: Book, when: Schedule, restart: Restart
) -> None:
    """Of the task, of its run and of the one that follows, in every column but those of time and number."""
    await book.database.execute("UPDATE installation SET max_tasks = 2")
    jobs = await book.schedule("a", "b", "c", "d", when=when, restart=restart)
    a, b = [await book.begun(number, job) for number, job in enumerate(jobs)]
    await book.database.execute("UPDATE task SET generation = 7")  # they are made of the clock
    alone = await book.finish(a)
    (at_once,) = await tasks.finish_at_once(book.database, [(b, COUNTS)])

    async def left(name: str) -> dict[str, object]:
        row = await book.task(name)
        runs = await book.database.fetch("SELECT * FROM run WHERE task = $1", row["id"])
        apart = {"id", "descriptor", "name", "token", "job", "task"}
        return {
            column: type(value) if isinstance(value, datetime) else value
            for found in (row, *runs)
            for column, value in found.items()
            if column not in apart
        }

    assert await left("a") == await left("b")
    assert await left("c") == await left("d")
    assert at_once is not None
    assert [type(found.next and found.next.delay) for found in (alone, at_once)] == [timedelta] * 2
    assert [found.next and found.next.descriptor for found in (alone, at_once)] == ['"c"', '"d"']
    assert [(await book.task(name))["job"] for name in "cd"] == [0, 1]


async def test_ends_at_once_give_each_place_to_the_next_in_line(book: Book) -> None:
    """In the line's order, under the jobs of those that ended; with nobody in line the place is free."""
    await book.database.execute("UPDATE installation SET max_tasks = 3")
    jobs = await book.schedule("a", "b", "c", "d", "e")
    runs = [await book.begun(number, job) for number, job in enumerate(jobs)]
    ended = await tasks.finish_at_once(book.database, [(run, COUNTS) for run in reversed(runs)])

    assert [end and end.next and end.next.descriptor for end in ended] == ['"d"', '"e"', None]
    assert [(await book.task(name))["job"] for name in "de"] == [2, 1]
    assert await book.database.fetchval("SELECT count(*) FROM task WHERE place") == 2
    assert await book.database.fetchval("SELECT count(*) FROM run WHERE outcome = 'SUCCEEDED'") == 3


async def test_nothing_is_scheduled_or_begun_for_one_that_is_on_its_way_out(book: Book) -> None:
    """Jobs that are still out are void."""
    jobs = await book.schedule("a")
    async with book.database.transaction() as db:
        await installations.leave(db, book.key)
    with pytest.raises(DatabaseError) as refused:
        await book.schedule("b")

    assert code_of(refused.value) == INSTALLATION_GONE
    assert await book.begin(1, jobs[0]) is None


async def test_a_start_and_an_end_long_ago_and_far_away(book: Book) -> None:
    """Instants at the ends of the calendar are instants."""
    (early,) = await book.schedule("early", when=Schedule.at(datetime(1, 1, 1, tzinfo=UTC)))
    (late,) = await book.schedule("late", when=Schedule.at(datetime(9999, 12, 31, 23, 59, tzinfo=UTC)))

    assert early.delay == timedelta(0)
    assert late.delay > 365 * 7000 * timedelta(days=1)
