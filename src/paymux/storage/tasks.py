"""Task rows and the bookkeeping of runs."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from paymux.domain.task import Restart, Schedule
from paymux.storage.database import Connection, Database, Row, affected
from paymux.storage.statements import statements

_SQL = statements("tasks")


class Plan(msgspec.Struct, frozen=True):
    """A task to be scheduled. ``descriptor`` is canonical JSON."""

    id: UUID
    descriptor: str
    schedule: Schedule
    restart: Restart


class Job(msgspec.Struct, frozen=True):
    """What the engine is asked to deliver: this generation of this task, after this delay."""

    task: UUID
    generation: int
    delay: timedelta = timedelta(0)


class Begun(msgspec.Struct, frozen=True):
    """A run that this worker holds. ``revision`` is that of the installation's config.

    ``delay`` is for how long the task had been due; ``crashes`` counts the workers that died or hung under
    it, one after the other, when it was taken over from the last of them.
    """

    task: UUID
    token: int
    installation: int
    revision: int
    descriptor: str
    state: str | None
    attempts: int
    cancelled: bool
    crashes: int = 0
    delay: timedelta | None = None


class Ending(msgspec.Struct, frozen=True):
    """How a run ended, for its row. ``outcome``: SUCCEEDED, FAILED, STOPPED or RETURNED.

    ``fault`` says what kind of failure it was: LOGIN, CONFIG or CRASH, None for no kind in particular.
    """

    outcome: str
    error: str | None = None
    retry: timedelta | None = None
    fault: str | None = None


class Finished(msgspec.Struct, frozen=True):
    """What follows a run: jobs for the engine, and perhaps the next run under the same job."""

    lost: bool
    jobs: list[Job]
    next: Begun | None


async def schedule(db: Connection, installation: int, plans: Sequence[Plan]) -> list[Job]:
    """Schedule tasks of one installation; hand the jobs to the engine in the same transaction.

    Raises:
        DatabaseError: with code INSTALLATION_GONE when the installation is being removed.
    """
    rows = await db.fetch(
        _SQL["schedule_tasks"],
        installation,
        [plan.id for plan in plans],
        [plan.descriptor for plan in plans],
        [plan.schedule.when for plan in plans],
        [plan.schedule.duration if plan.schedule.when == "EVERY" else None for plan in plans],
        [plan.schedule.duration if plan.schedule.when == "AFTER" else None for plan in plans],
        [plan.schedule.instant for plan in plans],
        [plan.restart for plan in plans],
    )
    return [job_of(row) for row in rows]


async def begin(db: Database | Connection, job: int, task: UUID, generation: int) -> Begun | None:
    """Start the run that a job stands for, or nothing."""
    row = await db.fetchrow(_SQL["begin_run"], job, task, generation)
    return _begun(row) if row else None


async def finish(
    db: Connection, run: Begun, ending: Ending, counts: list[int], *, take_next: bool
) -> Finished:
    """End a run; hand the jobs to the engine in the same transaction."""
    rows = await db.fetch(
        _SQL["finish_run"], run.installation, run.task, run.token, ending.outcome, ending.error,
        ending.retry, ending.fault, run.revision, counts, take_next,
    )  # fmt: skip
    jobs = [job_of(row) for row in rows if row["what"] == "JOB"]
    return Finished(any(row["what"] == "LOST" for row in rows), jobs, _next(rows))


async def finish_at_once(db: Database, ends: Sequence[tuple[Begun, list[int]]]) -> list[Finished | None]:
    """End runs that went well, all in one round trip, and begin the next of each installation.

    None for a run that was left as it is: its end takes a transaction and ``finish``.
    """
    rows = await db.fetch(
        _SQL["finish_runs"],
        [run.installation for run, _ in ends],
        [run.task for run, _ in ends],
        [run.token for run, _ in ends],
        *zip(*(counts for _, counts in ends), strict=True),
    )
    return [
        None
        if row["what"] == "LEFT"
        else Finished(row["what"] == "LOST", [], _begun(row) if row["task"] else None)
        for row in rows
    ]


async def holds(db: Connection, task: UUID, token: int | None) -> bool:
    """Whether a run holds its task, and will until the transaction ends."""
    return await db.fetchrow(_SQL["holds"], task, token) is not None


async def dismissed(db: Database, runs: Sequence[tuple[UUID, int]]) -> list[int]:
    """Of runs (task, token), the tokens of those that should stop."""
    rows = await db.fetch(_SQL["dismissed"], [task for task, _ in runs], [token for _, token in runs])
    return [row["token"] for row in rows]


async def neglected(db: Database) -> list[Row]:
    """Tasks that should be in somebody's hands: id, generation, job, token."""
    return await db.fetch(_SQL["neglected_tasks"])


async def recover(db: Connection, task: UUID, generation: int) -> list[Job]:
    """Put a task that nobody works on any more back in line."""
    return [job_of(row) for row in await db.fetch(_SQL["recover_task"], task, generation)]


async def scheduled_after(db: Connection, task: UUID) -> int | None:
    """In the transaction that scheduled a task: the run before the one asked for; None when left alone."""
    found: int | None = await db.fetchval(_SQL["scheduled_after"], task)
    return found


async def progress(db: Database, task: UUID, after: int) -> Row | None:
    """Status of a task, outcome and error of its first run after ``after``, and whether it is halted."""
    return await db.fetchrow(_SQL["progress"], task, after)


async def prune(db: Database, age: timedelta, batch: int) -> int:
    """Delete a batch of runs that ended longer ago than ``age``; returns how many. Tasks stay."""
    return affected(await db.execute(_SQL["prune_runs"], age, batch))


def job_of(row: Any) -> Job:
    """The job that a row stands for."""
    return Job(row["task"], row["generation"], row["delay"])


def _begun(row: Any) -> Begun:
    return Begun(*(row[field] for field in Begun.__struct_fields__))


def _next(rows: Sequence[Row]) -> Begun | None:
    return next((_begun(row) for row in rows if row["what"] == "RUN"), None)
