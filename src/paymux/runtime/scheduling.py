"""Scheduling: what connectors ask to be run becomes task rows and jobs, many in one statement.

What a run schedules is kept until its next page or its end and committed with that, so a directory
of 100,000 files costs a hundred statements and a crash leaves no half-scheduled run behind.
"""

import asyncio
from uuid import UUID

from paymux.domain.ids import task_id
from paymux.domain.task import Descriptor, Restart, Schedule, TaskStatus, When
from paymux.ingestion.ingester import Holder, Superseded
from paymux.runtime.engine import Engine
from paymux.sdk import TaskFailed
from paymux.storage import tasks
from paymux.storage.database import (
    COLLISION,
    INSTALLATION_GONE,
    Connection,
    Database,
    DatabaseError,
    code_of,
)
from paymux.storage.tasks import Plan

# Tasks a statement: some milliseconds under the installation's lock.
BATCH = 1000
# How often somebody who waits for a task looks; NOW_SYNC is for set-up, not for throughput.
_LOOK = 0.05
_ATTEMPTS = 5


class Planner:
    """Collects the tasks that one holder schedules."""

    def __init__(self, database: Database, engine: Engine, holder: Holder) -> None:
        self._database = database
        self._engine = engine
        self._holder = holder
        self._plans: dict[UUID, Plan] = {}

    @property
    def waiting(self) -> bool:
        """Whether something is yet to be committed."""
        return bool(self._plans)

    async def schedule(self, descriptor: object, schedule: Schedule, restart: Restart) -> None:
        """Plan a task; written at once when there are many, or when somebody waits for it."""
        named = Descriptor.of(descriptor)
        plan = Plan(task_id(self._holder.uuid, named.text), named.text, schedule, restart)
        # NEVER leaves alone what is planned already; the others replace it, keeping its turn.
        if restart is not Restart.NEVER or plan.id not in self._plans:
            self._plans[plan.id] = plan
        if schedule.when is When.NOW_SYNC:
            await self._wait_for(plan)
        elif len(self._plans) >= BATCH:
            await self.flush()

    async def flush(self) -> None:
        """Write what is planned, in a transaction of its own."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self._database.transaction() as db:
                    await self.write(db)
                break
            except COLLISION:
                if attempt == _ATTEMPTS:
                    raise
        self.written()

    async def write(self, db: Connection) -> None:
        """Write what is planned in the caller's transaction; call ``written`` once it is committed."""
        plans = list(self._plans.values())
        try:
            for start in range(0, len(plans), BATCH):
                jobs = await tasks.schedule(db, self._holder.installation, plans[start : start + BATCH])
                await self._engine.enqueue(db, jobs)
        except DatabaseError as error:
            if code_of(error) == INSTALLATION_GONE:
                raise Superseded("The installation is being removed.") from None
            raise

    def written(self) -> None:
        """Forget what was planned: it is committed."""
        self._plans.clear()

    async def _wait_for(self, plan: Plan) -> None:
        before = await tasks.progress(self._database, plan.id)
        await self.flush()
        after = await tasks.progress(self._database, plan.id)
        if after is None or (before is not None and before["generation"] == after["generation"]):
            return  # Its restart option left it alone.
        awaited = after["generation"]
        while after is not None and after["generation"] == awaited:
            await asyncio.sleep(_LOOK)
            after = await tasks.progress(self._database, plan.id)
        if after is not None and after["status"] == TaskStatus.FAILED:
            raise TaskFailed(after["error"])
