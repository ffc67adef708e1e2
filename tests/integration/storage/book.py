"""One installation's tasks at the level of statements, for tests that are the worker themselves."""

from datetime import timedelta
from uuid import UUID, uuid4

from paymux.domain.ids import task_id
from paymux.domain.task import Restart, Schedule
from paymux.runtime.engine import PgQueuerEngine
from paymux.storage import installations, operators, tasks
from paymux.storage.database import Database, Row
from paymux.storage.operators import Verb
from paymux.storage.tasks import Begun, Ending, Finished, Job, Plan

COUNTS = [0] * 5
SUCCEEDED = Ending("SUCCEEDED")
HOUR = timedelta(hours=1)


class Book:
    """One installation's tasks, and the jobs that were handed out for them."""

    def __init__(self, database: Database, engine: PgQueuerEngine) -> None:
        self.database = database
        self.engine = engine
        self.uuid = uuid4()
        self.key = 0

    async def install(self, places: int) -> None:
        async with self.database.transaction() as db:
            self.key = await installations.insert(
                db, uuid=self.uuid, provider="BOOK", name="book", config=b"", max_tasks=places
            )
            await installations.installed(db, self.key)

    def id(self, name: str) -> UUID:
        return task_id(self.uuid, f'"{name}"')

    async def schedule(
        self, *names: str, when: Schedule | None = None, restart: Restart = Restart.ALWAYS
    ) -> list[Job]:
        plans = [Plan(self.id(name), f'"{name}"', when or Schedule.now(), restart) for name in names]
        async with self.database.transaction() as db:
            jobs = await tasks.schedule(db, self.key, plans)
            await self.engine.enqueue(db, jobs)
        return jobs

    async def begin(self, number: int, job: Job) -> Begun | None:
        return await tasks.begin(self.database, number, job.task, job.generation)

    async def begun(self, number: int, job: Job) -> Begun:
        begun = await self.begin(number, job)
        assert begun is not None
        return begun

    async def finish(self, begun: Begun, ending: Ending = SUCCEEDED, *, take_next: bool = True) -> Finished:
        async with self.database.transaction() as db:
            finished = await tasks.finish(db, begun, ending, COUNTS, take_next=take_next)
            await self.engine.enqueue(db, finished.jobs)
        return finished

    async def task(self, name: str) -> Row:
        row = await self.database.fetchrow("SELECT * FROM task WHERE id = $1", self.id(name))
        assert row is not None
        return row

    async def keys(self) -> set[str]:
        """Of the jobs in the engine."""
        return {row[0] for row in await self.database.fetch("SELECT dedupe_key FROM engine_job")}

    async def tell(self, verb: Verb, name: str) -> list[Job]:
        async with self.database.transaction() as db:
            jobs = await operators.tell(db, verb, self.key, self.id(name))
            await self.engine.enqueue(db, jobs)
        return jobs

    async def pause(self) -> None:
        async with self.database.transaction() as db:
            await operators.pause(db, self.key)

    async def resume(self) -> list[Job]:
        async with self.database.transaction() as db:
            jobs = await operators.resume(db, self.key)
            await self.engine.enqueue(db, jobs)
        return jobs

    async def clear_login(self) -> list[Job]:
        async with self.database.transaction() as db:
            jobs = await operators.clear_login(db, self.key)
            await self.engine.enqueue(db, jobs)
        return jobs
