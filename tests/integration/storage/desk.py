"""An installation that money is moved by, statement by statement, without a provider."""

import itertools
from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from paymux.domain.ids import row_key
from paymux.domain.transfer import TransferEvent, TransferStatus, TransferType, folded
from paymux.storage import installations, transfers
from paymux.storage.database import SUPERSEDED, Database, DatabaseError, Row, code_of
from paymux.storage.operators import REFUSED
from paymux.storage.tasks import Job
from paymux.storage.transfers import MISSING, WRONG, Attempt, Found, NewReversal, NewTransfer, Paid

SOON = timedelta(seconds=0)


class Desk:
    """Every method is one transaction, as the services make them; a refusal is returned as its code."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.uuid = uuid4()
        self.key: int
        self.numbers = itertools.count(1)
        # The engine's jobs, by order; a newer one takes the place of the older.
        self.jobs: dict[UUID, tuple[int, Job]] = {}

    async def open(self) -> "Desk":
        async with self.database.transaction() as db:
            self.key = await installations.insert(
                db, uuid=self.uuid, provider="DESK", name=f"desk {self.uuid}", config=b"", max_tasks=1
            )
            await installations.installed(db, self.key)
        return self

    def id(self, reference: str) -> UUID:
        return row_key(self.uuid, "transfer", reference)

    async def create(
        self, reference: str, amount: int = 100, *, validated: bool = True, at: datetime | None = None
    ) -> bool:
        new = NewTransfer(
            key=self.id(reference), installation=self.key, reference=reference, type=TransferType.PAYOUT,
            description="", amount=amount, asset="EUR/2", source=None, destination=(uuid4(), "ben"),
            metadata=None, validated=validated, scheduled_at=at,
        )  # fmt: skip
        async with self.database.transaction() as db:
            fresh, jobs = await transfers.create(db, new, f"{reference}/1")
        self._keep(jobs)
        return fresh

    async def judge(self, reference: str, decision: transfers.Decision) -> str | None:
        return await self._verb(transfers.judge, reference, decision, f"{reference}/1", None)

    async def retry(self, reference: str) -> str | None:
        number = (await self.row(reference))["attempts"] + 1
        return await self._verb(transfers.retry, reference, number, f"{reference}/{number}", None)

    async def reverse(self, reference: str, amount: int, name: str) -> str | None:
        number = (await self.row(reference))["attempts"] + 1
        new = NewReversal(
            key=row_key(self.uuid, "reversal", name), reference=name, description="", amount=amount,
            metadata=None,
        )  # fmt: skip
        return await self._verb(transfers.reverse, reference, number, f"{reference}/{number}", new)

    async def delete(self, reference: str) -> str | None:
        return await self._verb(transfers.delete, reference)

    async def settle(self, reference: str, *, paid: bool) -> str | None:
        payment = Paid(uuid4(), "pay", "PAYOUT", TransferStatus.PROCESSED) if paid else None
        return await self._verb(transfers.settle, reference, paid=paid, note="seen", payment=payment)

    async def begin(self, reference: str, job: tuple[int, Job] | None = None) -> Attempt | None:
        number, due = job or self.jobs.get(self.id(reference)) or (0, Job(self.id(reference), 0))
        return await transfers.begin(self.database, number, due.task, due.generation)

    async def finish(self, reference: str, token: int, found: Found) -> str | None:
        return await self._verb(transfers.finish, reference, token, found)

    async def row(self, reference: str) -> Row:
        row = await self.database.fetchrow("SELECT * FROM transfer WHERE key = $1", self.id(reference))
        assert row is not None
        return row

    async def attempts(self, reference: str) -> list[Row]:
        return await self.database.fetch(
            "SELECT * FROM transfer_attempt WHERE transfer = $1 ORDER BY number", self.id(reference)
        )

    async def holds(self, reference: str) -> None:
        """What is true of an order at any time."""
        row = await self.row(reference)
        history = await self.database.fetch(
            "SELECT event, status, number FROM transfer_adjustment WHERE transfer = $1 ORDER BY number",
            row["key"],
        )
        events = [TransferEvent(one["event"]) for one in history[1:]]
        assert folded(TransferStatus(history[0]["status"]), events) == row["status"] == history[-1]["status"]
        assert [one["number"] for one in history] == list(range(1, row["adjustments"] + 1))
        reversals = await self.database.fetch(
            "SELECT status, amount FROM transfer_reversal WHERE transfer = $1", row["key"]
        )
        assert row["reversed"] == sum(r["amount"] for r in reversals if r["status"] == "PROCESSED")
        assert sum(r["amount"] for r in reversals if r["status"] != "FAILED") <= row["amount"]
        assert sum(r["status"] == "PROCESSING" for r in reversals) <= 1
        attempts = await self.attempts(reference)
        assert [one["number"] for one in attempts] == list(range(1, row["attempts"] + 1))
        assert all(one["state"] in ("SUCCEEDED", "FAILED") for one in attempts[:-1])
        paying = [one for one in attempts if one["reversal"] is None]
        assert all(one["state"] == "FAILED" for one in paying[:-1]), "tried again before it had surely failed"
        assert len({one["key"] for one in attempts}) == len(attempts)
        told = await self.database.fetchval(
            "SELECT count(DISTINCT part) FROM event WHERE object = $1 AND type = 'SAVED_TRANSFER_INITIATION'",
            row["key"],
        )
        assert told == row["adjustments"]

    def _keep(self, jobs: list[Job] | None) -> None:
        for job in jobs or []:
            self.jobs[job.task] = next(self.numbers), job

    async def _verb(self, verb: Any, reference: str, *args: Any, **named: Any) -> str | None:
        try:
            async with self.database.transaction() as db:
                done: Awaitable[Any] = verb(db, self.id(reference), *args, **named)
                jobs = await done
        except DatabaseError as error:
            if code_of(error) not in (REFUSED, WRONG, MISSING, SUPERSEDED):
                raise
            return code_of(error)
        self._keep(jobs)
        return None
