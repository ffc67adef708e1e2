"""Scheduling again under a changed config: what changed is replaced, what did not goes on as it was."""

from uuid import UUID

import msgspec

from paymux.domain.task import Restart, Schedule, TaskStatus, When
from paymux.runtime.scheduling import Planner
from paymux.storage import installations
from paymux.storage.database import Connection, Row
from paymux.storage.tasks import Plan


class Replanner(Planner):
    """Collects what is scheduled under the new config, to be written in the transaction that stores it.

    Nobody can be waited for before that, so ``NOW_SYNC`` becomes ``NOW``.
    """

    async def schedule(self, descriptor: object, schedule: Schedule, restart: Restart) -> None:
        """Plan a task."""
        waited_for = schedule.when is When.NOW_SYNC
        await super().schedule(descriptor, Schedule.now() if waited_for else schedule, restart)

    async def replan(self, db: Connection) -> None:
        """Write what was planned, in the caller's transaction."""
        known = await installations.schedules(db, [plan.id for plan in self.waiting])
        await self.write(db, plans=[replanned(plan, known) for plan in self.waiting])


def replanned(plan: Plan, known: dict[UUID, Row]) -> Plan:
    """A plan with the restart option that a change asks for; ``known`` has schedule, period and status.

    A period that is new takes effect whatever the option; work that was done once is not done again
    unless that is asked for.
    """
    row = known.get(plan.id)
    if row is None or plan.restart is Restart.STOP_AND_RESTART:
        return plan
    every = plan.schedule.when is When.EVERY
    if (row["schedule"] == When.EVERY) != every or (every and row["period"] != plan.schedule.duration):
        return msgspec.structs.replace(plan, restart=Restart.ALWAYS)
    if not every and plan.restart is Restart.IF_NOT_ACTIVE and row["status"] == TaskStatus.TERMINATED:
        return msgspec.structs.replace(plan, restart=Restart.NEVER)
    return plan
