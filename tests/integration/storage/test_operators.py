"""What operators do, statement by statement, and what must hold whatever they do in whatever order."""

import random
from datetime import timedelta

import pytest
from tests.integration.storage.book import COUNTS, HOUR, SUCCEEDED, Book

from paymux.domain.task import Restart, Schedule
from paymux.storage import operators, tasks
from paymux.storage.database import DatabaseError, code_of
from paymux.storage.operators import Verb
from paymux.storage.tasks import Begun, Ending, Job

STOPPED = Ending("STOPPED", "Told to stop.")
RETURNED = Ending("RETURNED")
FAILED = Ending("FAILED", "no")
RETRY = Ending("FAILED", "busy", timedelta(0))
LOGIN = Ending("FAILED", "who are you", fault="LOGIN")
VERBS: tuple[Verb, ...] = ("run", "cancel", "pause", "resume")


async def refused(book: Book, verb: Verb, name: str) -> str:
    """The sentence with which a verb is refused."""
    with pytest.raises(DatabaseError) as found:
        await book.tell(verb, name)
    assert code_of(found.value) == operators.REFUSED
    return str(found.value)


async def test_a_paused_task_gives_its_place_to_the_next(book: Book) -> None:
    """Its job is void, and it comes back at the end of the line."""
    (first,) = await book.schedule("a", "b")
    (second,) = await book.tell("pause", "a")
    row = await book.task("a")

    assert second.task == book.id("b")
    assert (row["status"], row["paused"], row["place"], row["waiting"]) == ("STOPPED", True, False, None)
    assert await book.begin(1, first) is None
    assert await refused(book, "pause", "a") == "The task is paused already."
    assert await refused(book, "run", "a") == "The task is paused. Resume it first."
    assert await refused(book, "cancel", "a") == "The task is paused and not running."
    assert await book.tell("resume", "a") == []
    assert (await book.task("a"))["status"] == "PENDING"
    assert await refused(book, "resume", "a") == "The task is not paused."
    finished = await book.finish(await book.begun(2, second))
    assert finished.next is not None
    assert finished.next.task == book.id("a")


async def test_what_is_scheduled_while_paused_does_not_wake_it(book: Book) -> None:
    """The schedule is the new one; no job is handed out, and none after it was due for minutes."""
    await book.schedule("a", when=Schedule.after(HOUR))
    await book.tell("pause", "a")
    for restart in Restart:
        assert await book.schedule("a", when=Schedule.every(HOUR), restart=restart) == []
    await book.database.execute("UPDATE task SET next_run_at = now() - interval '5 minutes'")
    row = await book.task("a")

    assert (row["status"], row["schedule"], row["period"]) == ("STOPPED", "EVERY", HOUR)
    assert (row["waiting"], row["place"]) == (None, False)
    assert await tasks.neglected(book.database) == []
    (job,) = await book.tell("resume", "a")
    assert job.delay == timedelta(0)


async def test_a_task_that_is_resumed_early_runs_at_its_time(book: Book) -> None:
    """The next time of a schedule is not lost by a pause."""
    await book.schedule("a", when=Schedule.after(HOUR))
    before = (await book.task("a"))["next_run_at"]
    await book.tell("pause", "a")
    (job,) = await book.tell("resume", "a")
    row = await book.task("a")

    assert HOUR * 0.9 < job.delay <= HOUR
    assert (row["status"], row["next_run_at"]) == ("ACTIVE", before)


@pytest.mark.parametrize("ending", [STOPPED, RETURNED, FAILED], ids=lambda ending: str(ending.outcome))
async def test_a_run_that_is_interrupted_by_a_pause_is_still_to_be_done(book: Book, ending: Ending) -> None:
    """However its worker ends it: a periodic task is due again when it is resumed, and so is another."""
    await book.database.execute("UPDATE installation SET max_tasks = 2")
    once, often = *await book.schedule("once"), *await book.schedule("often", when=Schedule.every(HOUR))
    runs = [await book.begun(1, once), await book.begun(2, often)]
    for name in ("once", "often"):
        await book.tell("pause", name)
        assert (await book.task(name))["cancelled"]
    for run in runs:
        finished = await book.finish(run, ending)
        assert (finished.jobs, finished.next) == ([], None)

    assert (await book.task("often"))["status"] == "STOPPED"
    assert len(await book.tell("resume", "often")) == 1
    # One that has failed by itself, for good, has nothing left to do.
    assert (await book.task("once"))["status"] == ("FAILED" if ending is FAILED else "STOPPED")
    assert len(await book.tell("resume", "once")) == (0 if ending is FAILED else 1)


async def test_one_that_succeeds_while_it_is_being_paused_is_done(book: Book) -> None:
    """The end was quicker than the pause: resuming it runs nothing."""
    (job,) = await book.schedule("a")
    begun = await book.begun(1, job)
    await book.tell("pause", "a")
    await book.finish(begun)
    assert (await book.task("a"))["status"] == "TERMINATED"

    assert (await book.task("a"))["paused"]
    assert await book.tell("resume", "a") == []
    assert (await book.task("a"))["status"] == "TERMINATED"


async def test_a_pause_that_is_taken_back_at_once_loses_nothing(book: Book) -> None:
    """The run was told to stop, and stops; then the task runs again."""
    (job,) = await book.schedule("a")
    begun = await book.begun(1, job)
    await book.tell("pause", "a")
    await book.tell("resume", "a")
    assert (await book.task("a"))["cancelled"]
    finished = await book.finish(begun, STOPPED)

    assert finished.next is not None
    assert finished.next.task == book.id("a")


async def test_a_paused_task_whose_worker_died_stays_paused(book: Book) -> None:
    """Whether its job is taken over, or was lost and is found by the sweep."""
    (job,) = await book.schedule("a", "b")
    await book.begun(1, job)
    await book.tell("pause", "a")
    taken = await book.begun(1, job)
    assert taken.cancelled
    finished = await book.finish(taken, STOPPED)
    assert finished.next is not None
    await book.tell("pause", "b")
    async with book.database.transaction() as db:
        assert await tasks.recover(db, book.id("b"), (await book.task("b"))["generation"]) == []

    for name in ("a", "b"):
        row = await book.task(name)
        assert (row["status"], row["paused"], row["token"], row["waiting"]) == ("STOPPED", True, None, None)
        assert (await book.task(name))["next_run_at"] is not None


async def test_cancelling_stops_what_runs_and_nothing_else(book: Book) -> None:
    """A one-time task is STOPPED, whatever else was asked of it; a periodic one goes on with its beat."""
    await book.database.execute("UPDATE installation SET max_tasks = 2")
    once, often = *await book.schedule("once"), *await book.schedule("often", when=Schedule.every(HOUR))
    runs = [await book.begun(1, once), await book.begun(2, often)]
    await book.schedule("once")
    for name in ("once", "often"):
        assert await book.tell("cancel", name) == []
    before = (await book.task("often"))["next_run_at"]
    assert (await book.finish(runs[0], STOPPED)).jobs == []
    (job,) = (await book.finish(runs[1], STOPPED)).jobs
    row = await book.task("often")

    assert HOUR * 0.9 < job.delay <= HOUR
    assert (row["status"], row["next_run_at"] - before, row["error"]) == ("ACTIVE", HOUR, None)
    row = await book.task("once")
    assert (row["status"], row["next_run_at"], row["error"]) == ("STOPPED", None, "Told to stop.")
    assert row["attempts"] == 0
    assert "nothing is planned" in await refused(book, "cancel", "once")
    assert "Nothing is planned" in await refused(book, "pause", "once")
    assert "Pause it" in await refused(book, "cancel", "often")


async def test_cancelling_what_waits(book: Book) -> None:
    """A one-time task is STOPPED and its place given on; a periodic one that is due skips this beat."""
    (job,) = await book.schedule("once", "later", "next")
    (given,) = await book.tell("cancel", "once")
    assert given.task == book.id("later")
    assert await book.begin(1, job) is None
    (given,) = await book.tell("cancel", "later")
    assert given.task == book.id("next")
    await book.schedule("delayed", when=Schedule.after(HOUR))
    assert await book.tell("cancel", "delayed") == []
    await book.schedule("often", when=Schedule.every(HOUR))
    (skipped,) = await book.tell("cancel", "often")

    assert [(await book.task(name))["status"] for name in ("once", "later", "delayed")] == ["STOPPED"] * 3
    assert HOUR * 0.9 < skipped.delay <= HOUR
    assert (await book.task("often"))["status"] == "ACTIVE"


@pytest.mark.parametrize("ending", [STOPPED, RETURNED, RETRY], ids=lambda ending: str(ending.outcome))
async def test_what_a_person_has_cancelled_does_not_come_back(book: Book, ending: Ending) -> None:
    """Not by a retry, nor by its worker's going away, nor by its dying."""
    (job,) = await book.schedule("a")
    begun = await book.begun(1, job)
    await book.tell("cancel", "a")
    finished = await book.finish(begun, ending)
    row = await book.task("a")

    assert (finished.jobs, row["next_run_at"], row["waiting"]) == ([], None, None)
    assert row["status"] == ("FAILED" if ending is RETRY else "STOPPED")
    (job,) = await book.tell("run", "a")
    await book.begun(2, job)
    await book.tell("cancel", "a")
    async with book.database.transaction() as db:
        assert await tasks.recover(db, book.id("a"), (await book.task("a"))["generation"]) == []
    assert (await book.task("a"))["status"] == "STOPPED"


@pytest.mark.parametrize("ending", [SUCCEEDED, FAILED, STOPPED], ids=lambda ending: str(ending.outcome))
async def test_run_now_of_what_is_finished(book: Book, ending: Ending) -> None:
    """However it had ended; and asking twice is asking once."""
    (job,) = await book.schedule("a")
    await book.finish(await book.begun(1, job), ending)
    (again,) = await book.tell("run", "a")
    assert await book.tell("run", "a") == []
    row = await book.task("a")
    assert row["status"] == ("FAILED" if ending is FAILED else "PENDING")
    await book.finish(await book.begun(2, again))

    row = await book.task("a")
    assert (row["status"], row["error"], row["attempts"]) == ("TERMINATED", None, 0)


async def test_run_now_out_of_turn_keeps_the_beat(book: Book) -> None:
    """A daily task that is run at noon is due at midnight as before; also when it failed and tried again."""
    (job,) = await book.schedule("a", when=Schedule.every(HOUR))
    await book.finish(await book.begun(1, job))
    beat = (await book.task("a"))["next_run_at"]
    (job,) = await book.tell("run", "a")
    assert job.delay == timedelta(0)
    (job,) = (await book.finish(await book.begun(2, job), RETRY)).jobs
    finished = await book.finish(await book.begun(3, job))

    assert (await book.task("a"))["next_run_at"] == beat
    assert len(finished.jobs) == 1


async def test_run_now_of_what_runs_is_one_more_run(book: Book) -> None:
    """However often it is asked for; then the beat goes on."""
    (job,) = await book.schedule("a", when=Schedule.every(HOUR))
    begun = await book.begun(1, job)
    beat = (await book.task("a"))["next_run_at"]
    for _ in range(3):
        assert await book.tell("run", "a") == []
    finished = await book.finish(begun)
    assert finished.next is not None
    assert finished.next.task == book.id("a")
    await book.finish(finished.next)

    assert (await book.task("a"))["next_run_at"] - beat == HOUR
    assert await book.database.fetchval("SELECT count(*) FROM run") == 2


async def test_a_paused_installation_has_no_places(book: Book) -> None:
    """What runs goes back to the line, what had a place too; nothing is begun until it is resumed."""
    await book.database.execute("UPDATE installation SET max_tasks = 2")
    first, second = await book.schedule("a", "b", "c")
    begun = await book.begun(1, first)
    (later,) = await book.schedule("later", when=Schedule.after(HOUR))
    await book.pause()
    await book.pause()

    assert await book.begin(2, second) is None
    assert await book.begin(3, later) is None
    assert (await tasks.finish_at_once(book.database, [(begun, COUNTS)])) == [None]
    finished = await book.finish(begun, STOPPED)
    assert (finished.jobs, finished.next) == ([], None)
    assert await book.schedule("d") == []
    assert await book.tell("run", "later") == []
    assert await book.database.fetchval("SELECT count(*) FROM task WHERE place OR token IS NOT NULL") == 0
    assert await book.database.fetchval("SELECT count(*) FROM task WHERE waiting > 0") == 5
    jobs = await book.resume()
    assert [job.task for job in jobs] == [book.id("c"), book.id("b")]
    assert await book.resume() == []


async def test_a_run_that_is_quicker_than_the_pause_is_done(book: Book) -> None:
    """It is not run again when the installation is resumed; one that a person had cancelled neither."""
    await book.database.execute("UPDATE installation SET max_tasks = 2")
    first, second = await book.schedule("quick", "cancelled")
    runs = [await book.begun(1, first), await book.begun(2, second)]
    await book.tell("cancel", "cancelled")
    await book.pause()
    await book.finish(runs[0])
    await book.finish(runs[1], STOPPED)

    assert (await book.task("quick"))["status"] == "TERMINATED"
    assert (await book.task("cancelled"))["status"] == "STOPPED"
    assert await book.resume() == []


async def test_dead_credentials_stop_the_installation_with_the_end_of_the_run(
    book: Book,
) -> None:
    """The run is FAILED, the error kept, the others are told to stop; all go on with new credentials."""
    await book.database.execute("UPDATE installation SET max_tasks = 2")
    first, second = await book.schedule("a", "b", "c")
    runs = [await book.begun(1, first), await book.begun(2, second)]
    finished = await book.finish(runs[0], LOGIN)
    row = await book.task("a")

    assert (finished.jobs, finished.next) == ([], None)
    assert (row["status"], row["error"], row["fault"]) == ("FAILED", "who are you", "LOGIN")
    assert await book.database.fetchval("SELECT login_error FROM installation") == "who are you"
    assert await tasks.dismissed(book.database, [(runs[1].task, runs[1].token)]) == [runs[1].token]
    await book.finish(runs[1], STOPPED)
    assert len(await book.clear_login()) == 2
    assert await book.clear_login() == []
    assert await book.database.fetchval("SELECT login_error FROM installation") is None


async def test_credentials_that_were_changed_meanwhile_are_not_blamed(book: Book) -> None:
    """The run had the old ones: the task is tried again with the new."""
    (job,) = await book.schedule("a")
    begun = await book.begun(1, job)
    await book.database.execute("UPDATE installation SET revision = revision + 1")
    finished = await book.finish(begun, LOGIN)

    assert await book.database.fetchval("SELECT login_error FROM installation") is None
    assert finished.next is not None
    assert finished.next.revision == begun.revision + 1


async def test_new_credentials_do_not_resume_what_a_person_has_paused(book: Book) -> None:
    """Resuming does both."""
    (job,) = await book.schedule("a")
    begun = await book.begun(1, job)
    await book.pause()
    await book.finish(begun, LOGIN)

    assert await book.clear_login() == []
    assert len(await book.resume()) == 1


async def test_attempts_are_counted_without_end(book: Book) -> None:
    """A task that fails ten times a second for years does not break the bookkeeping."""
    (job,) = await book.schedule("a")
    begun = await book.begun(1, job)
    await book.database.execute("UPDATE task SET attempts = 2147483647")
    await book.finish(begun, RETRY)

    assert (await book.task("a"))["attempts"] == 2147483647


async def test_old_runs_are_pruned_and_tasks_stay(book: Book) -> None:
    """In batches, the oldest first; a finished one-time task is an identity and stays."""
    for number in range(10):
        (job,) = await book.schedule(f"{number}")
        await book.finish(await book.begun(number, job))
    await book.database.execute(
        "UPDATE run SET ended_at = ended_at - interval '31 days'"
        " WHERE id IN (SELECT id FROM run ORDER BY id LIMIT 7)"
    )
    month = timedelta(days=30)

    assert [await tasks.prune(book.database, month, 3) for _ in range(4)] == [3, 3, 1, 0]
    assert await book.database.fetchval("SELECT count(*) FROM run") == 3
    assert await book.database.fetchval("SELECT count(*) FROM task WHERE status = 'TERMINATED'") == 10


class Chaos:
    """Does to a book what chance says: verbs, schedules, starts, ends, deaths."""

    def __init__(self, book: Book, seed: int) -> None:
        self.book = book
        self.chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.names = [f"task {number}" for number in range(5)]
        self.jobs: list[Job] = []
        self.running: dict[int, Begun] = {}

    async def step(self) -> None:
        """One of them; the jobs that were handed out may be delivered from then on, any number of times."""
        does = [
            self._schedule, self._schedule, self._tell, self._tell, self._begin, self._begin, self._finish,
            self._finish, self._begin, self._pause,
        ]  # fmt: skip
        self.jobs += await self.chance.choice(does)()

    async def _schedule(self) -> list[Job]:
        second = timedelta(seconds=1)
        ways = [Schedule.now(), Schedule.after(HOUR), Schedule.every(second), Schedule.now_sync()]
        return await self.book.schedule(
            self.chance.choice(self.names),
            when=self.chance.choice(ways),
            restart=self.chance.choice(list(Restart)),
        )

    async def _tell(self) -> list[Job]:
        try:
            return await self.book.tell(self.chance.choice(VERBS), self.chance.choice(self.names))
        except DatabaseError as error:
            if code_of(error) != operators.REFUSED:
                raise
            return []

    async def _begin(self) -> list[Job]:
        if self.jobs:
            # Mostly one of the latest: the older ones are void.
            first = len(self.jobs) - 4 if self.chance.random() < 0.8 else 0
            number = self.chance.randrange(max(first, 0), len(self.jobs))
            begun = await self.book.begin(number, self.jobs[number])
            if begun is not None:
                self.running[number] = begun
        return []

    async def _finish(self) -> list[Job]:
        if not self.running:
            return []
        number = self.chance.choice(list(self.running))
        ending = self.chance.choice([SUCCEEDED, FAILED, RETRY, STOPPED, RETURNED, LOGIN])
        begun = self.running.pop(number)
        finished = await self.book.finish(begun, ending, take_next=self.chance.choice([True, False]))
        if finished.next is not None:
            self.running[number] = finished.next
        return finished.jobs

    async def _pause(self) -> list[Job]:
        if self.chance.random() < 0.2:
            await self.book.pause()
            return []
        return await self.book.resume()


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_nobody_is_forgotten(book: Book, seed: int) -> None:
    """200 things in any order: places are kept, and whoever is to run has a job, or a place in line."""
    await book.database.execute("UPDATE installation SET max_tasks = 2")
    chaos = Chaos(book, seed)
    for step in range(200):
        await chaos.step()
        await _all_is_well(book, f"seed {seed}, step {step}")
    assert await book.database.fetchval("SELECT count(*) FROM run") > 5


async def _all_is_well(book: Book, when: str) -> None:
    rows = await book.database.fetch("SELECT * FROM task")
    halted = await book.database.fetchval("SELECT places_of(i) = 0 FROM installation i")
    keys = await book.keys()
    placed = [row for row in rows if row["place"]]
    assert len(placed) <= 2, when
    for row in rows:
        about = f"{when}: {dict(row)}"
        if row["waiting"] is not None:
            assert halted or len(placed) == 2, about
            assert row["status"] in {"PENDING", "FAILED"}, about
        if row["token"] is not None:
            assert row["job"] is not None, about
            assert not (halted or row["paused"]) or row["cancelled"], about
            continue
        assert not row["cancelled"], about
        if row["paused"]:
            assert (row["place"], row["waiting"]) == (False, None), about
            assert row["status"] == "STOPPED" or row["next_run_at"] is None, about
        elif row["next_run_at"] is None:
            assert row["status"] in {"TERMINATED", "FAILED", "STOPPED"}, about
            assert (row["place"], row["waiting"]) == (False, None), about
        elif row["waiting"] is None:
            assert f"{row['id']}:{row['generation']}" in keys, about
            assert not (halted and row["place"]), about
            assert row["status"] != "TERMINATED", about
