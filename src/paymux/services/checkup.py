"""How well an installation is, and the whole: one word that follows from its row and its tasks.

missing      its connector is not present here; its tasks wait
paused       by a person
needs_login  the provider no longer accepts its credentials; its tasks wait for others
failing      of what it does again and again, nothing goes well
degraded     something failed, or a run says that the config can never work
ok           none of this
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from paymux.domain.ids import ConnectorID
from paymux.runtime.registry import Registry
from paymux.storage import health, readings, sinks
from paymux.storage.database import Database, Row

# Failing tasks that are named; the list of tasks has the others.
FAILING_MAX = 10


class Health(StrEnum):
    """From the best to the worst: the whole is as well as its worst installation."""

    OK = "ok"
    PAUSED = "paused"
    DEGRADED = "degraded"
    FAILING = "failing"
    NEEDS_LOGIN = "needs_login"
    MISSING = "missing"


class Failing(msgspec.Struct, rename={"task_id": "taskID", "next_run_at": "nextRunAt"}):
    """A task whose last run failed."""

    task_id: UUID
    name: str | None
    error: str
    attempts: int
    next_run_at: datetime | None


class InstallationHealth(msgspec.Struct, rename="camel", kw_only=True):
    """How an installation is doing; ``error`` says what a person has to mend, where that is known."""

    status: Health
    error: str | None
    last_success_at: datetime | None
    # How long the task that has waited longest has been due.
    lag_seconds: float
    next_run_at: datetime | None
    tasks: dict[str, int]
    failing: list[Failing]
    set_aside: int


class One(msgspec.Struct, rename={"connector_id": "connectorID"}):
    """An installation among the others."""

    connector_id: str
    name: str
    provider: str
    status: Health


class SinkHealth(msgspec.Struct, rename="camel"):
    """How far behind a sink is, and why it takes nothing, if it does not."""

    name: str
    waiting: int
    oldest_seconds: float
    # Refused events that are offered again, and those that were given up.
    refused: int
    dead_letters: int
    error: str | None
    failing_since: datetime | None


class Events(msgspec.Struct, rename="camel"):
    """What some sink does not have yet: at the one that is furthest behind, counted up to 100,000."""

    waiting: int
    oldest_seconds: float
    sinks: list[SinkHealth]


class MoneyOut(msgspec.Struct, rename="camel"):
    """Orders of which nobody can say what became, and those of them that wait for a person to decide."""

    unknown: int
    needs_person: int


class Whole(msgspec.Struct):
    """All installations, money out, and the outbox.

    A sink that takes nothing, or an order that waits for a person, makes it degraded at least.
    """

    status: Health
    installations: list[One]
    transfers: MoneyOut
    events: Events


class Checkup:
    """Looks at installations; by index, in a handful of statements whatever their number."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry

    async def of(self, installation: int) -> InstallationHealth:
        """One of them. Raises LookupError when it is there no more."""
        rows = await health.listed(self._database, installation)
        if not rows:
            raise LookupError("The installation is there no more.")
        status = self._status(rows[0])
        times = await health.times(self._database, installation)
        failing = await health.failing(self._database, installation, FAILING_MAX)
        waits = status in {Health.PAUSED, Health.NEEDS_LOGIN}
        return InstallationHealth(
            status=status,
            error=await self._error(rows[0]),
            last_success_at=times["last_success_at"],
            lag_seconds=round(times["lag_seconds"], 3),
            next_run_at=None if waits else times["next_run_at"],
            tasks=await health.counts(self._database, installation),
            failing=[
                Failing(row["id"], row["name"], row["error"] or "", row["attempts"], row["next_run_at"])
                for row in failing
            ],
            set_aside=await health.set_aside(self._database, installation),
        )

    async def whole(self) -> Whole:
        """All of them, oldest first."""
        installations = [
            One(
                ConnectorID(row["provider"], row["uuid"]).encode(),
                row["name"],
                row["provider"],
                self._status(row),
            )
            for row in await health.listed(self._database)
        ]
        events = await self._events()
        rows = await readings.transfers(self._database)
        money = MoneyOut(sum(row["unknown"] for row in rows), sum(row["stuck"] for row in rows))
        wanting = money.needs_person or any(sink.error for sink in events.sinks)
        statuses = [Health.DEGRADED if wanting else Health.OK, *(one.status for one in installations)]
        return Whole(max(statuses, key=list(Health).index), installations, money, events)

    async def _events(self) -> Events:
        outbox = await readings.outbox(self._database)
        return Events(
            outbox["waiting"],
            round(outbox["oldest"], 3),
            [
                SinkHealth(
                    row["name"], row["waiting"], round(row["oldest"], 3), row["refused"], row["dead"],
                    row["error"], row["failing_since"],
                )
                for row in await sinks.backlog(self._database)
            ],
        )  # fmt: skip

    def _status(self, row: Row) -> Health:
        if not self._registry.has(row["provider"]):
            return Health.MISSING
        if row["paused"]:
            return Health.PAUSED
        if row["login_error"] is not None:
            return Health.NEEDS_LOGIN
        if row["beat_failed"] and not row["beat_well"]:
            return Health.FAILING
        return Health.DEGRADED if row["failed"] else Health.OK

    async def _error(self, row: Row) -> Any:
        if not self._registry.has(row["provider"]):
            return f"The connector {row['provider']!r} is not present here."
        if row["login_error"] is not None or not row["failed"]:
            return row["login_error"]
        return await health.config_error(self._database, row["id"])
