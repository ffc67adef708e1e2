"""Scheduling: what connectors ask to be run becomes task rows and jobs, many in one statement.

What a run schedules is kept until its next page or its end and committed with that, so a directory
of 100,000 files costs a hundred statements and a crash leaves no half-scheduled run behind.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from paymux.domain.ids import task_id
from paymux.domain.task import Descriptor, Restart, Schedule, TaskStatus, When
from paymux.ingestion.ingester import Holder, Superseded
from paymux.runtime.engine import Engine
from paymux.runtime.patience import patiently
from paymux.sdk import TaskFailed
from paymux.storage import tasks
from paymux.storage.database import INSTALLATION_GONE, Connection, Database, DatabaseError, code_of
from paymux.storage.tasks import Plan

# Tasks a statement: some milliseconds under the installation's lock.
BATCH = 1000
# How often somebody who waits for a task looks; NOW_SYNC is for set-up, not for throughput.
_LOOK = 0.05


class Planner:
    """Collects the tasks that one holder schedules.

    Those of a run go out by themselves when there are many; a holder without a task is being installed,
    and nothing of that may be seen before all of it is.
    """

    def __init__(self, database: Database, engine: Engine, holder: Holder) -> None:
        self._database = database
        self._engine = engine
        self._holder = holder
        self._plans: dict[UUID, Plan] = {}

    @property
    def waiting(self) -> list[Plan]:
        """What is yet to be committed."""
        return list(self._plans.values())

    async def schedule(self, descriptor: object, schedule: Schedule, restart: Restart) -> None:
        """Plan a task; written at once when there are many, or when somebody waits for it.

        Raises:
            TaskFailed: it was waited for and did not succeed.
            Superseded: the run no longer holds its task.
        """
        named = Descriptor.of(descriptor)
        plan = Plan(task_id(self._holder.uuid, named.text), named.text, schedule, restart)
        if schedule.when is When.NOW_SYNC:
            self._plans.pop(plan.id, None)
            with self._engine.lent():
                await self._wait_for(plan)
            return
        # NEVER leaves alone what is planned already; the others replace it, keeping its turn.
        if restart is not Restart.NEVER or plan.id not in self._plans:
            self._plans[plan.id] = plan
        if len(self._plans) >= BATCH and self._holder.task is not None:
            plans = self.waiting
            await patiently(partial(self._flush, plans))
            self.written(plans)

    async def write(self, db: Connection, *, plans: Sequence[Plan]) -> None:
        """Write plans in the caller's transaction; call ``written`` once it is committed."""
        try:
            # Even of nothing: it sees that the installation is still there.
            for start in range(0, max(len(plans), 1), BATCH):
                jobs = await tasks.schedule(db, self._holder.installation, plans[start : start + BATCH])
                await self._engine.enqueue(db, jobs)
        except DatabaseError as error:
            if code_of(error) == INSTALLATION_GONE:
                raise Superseded("The installation is being removed.") from None
            raise

    def written(self, plans: Sequence[Plan]) -> None:
        """Forget plans: they are committed. One that was replaced meanwhile is not."""
        for plan in plans:
            if self._plans.get(plan.id) is plan:
                del self._plans[plan.id]

    async def _flush(self, plans: Sequence[Plan]) -> int | None:
        """Write in a transaction of its own; returns the run after which the last plan's comes, if any."""
        async with self._database.transaction() as db:
            await self.write(db, plans=plans)
            holder = self._holder
            if holder.task is not None and not await tasks.holds(db, holder.task, holder.token):
                raise Superseded(Superseded.__doc__)
            return await tasks.scheduled_after(db, plans[-1].id)

    async def _wait_for(self, plan: Plan) -> None:
        before = await patiently(partial(self._flush, [plan]))
        if before is None:
            return  # Its restart option left it alone.
        while True:
            row = await patiently(partial(tasks.progress, self._database, plan.id, before))
            if row is None or (row["outcome"] is None and row["status"] == TaskStatus.STOPPED):
                raise TaskFailed("The task was stopped.")
            if row["outcome"] == "SUCCEEDED":
                return
            if row["outcome"] is not None:
                raise TaskFailed(row["error"])
            if row["halted"]:
                raise TaskFailed(
                    "The installation is paused or needs a login; the task runs when it goes on."
                )
            await asyncio.sleep(_LOOK)
