"""A worker: takes jobs from the engine, runs the tasks they stand for, and writes down how it went.

A job is a place at the installation's table: when a run ends and another task of the installation
waits, the worker goes on with that one under the same job, begun in the transaction that ended the
first. So a thousand small tasks do not make a thousand trips through the queue.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog

from paymux.domain.mask import Mask
from paymux.ingestion.ingester import Holder, Ingester, Superseded
from paymux.ingestion.page import Page
from paymux.runtime.contexts import RunContext, ThreadContext
from paymux.runtime.engine import Engine
from paymux.runtime.injection import bound, runs_on_loop
from paymux.runtime.installations import Installation, InstallationGone, Installations
from paymux.runtime.outcomes import judge
from paymux.runtime.scheduling import Planner
from paymux.sdk.tasks import TIMEOUT, Resolved
from paymux.storage import tasks
from paymux.storage.database import COLLISION, LOST, Database
from paymux.storage.tasks import Begun, Ending

# A place goes back to the engine after this, so that other installations get their turn.
TURN = 10.0
# Between attempts to write while the database is away.
_RETRY = 0.5
# How often tasks that fell out of everybody's hands are looked for.
SWEEP = 60.0

_STOPPED = Ending("STOPPED", "Told to stop.")
_RETURNED = Ending("RETURNED")


class Worker:
    """Runs tasks of all installations, any number of workers on one database."""

    def __init__(
        self,
        *,
        database: Database,
        bookkeeping: Database,
        engine: Engine,
        installations: Installations,
        ingester: Ingester,
        mask: Mask,
    ) -> None:
        self._database = database
        # Where losing the last moment with the server is harmless, the disk is not waited for.
        self._bookkeeping = bookkeeping
        self._engine = engine
        self._installations = installations
        self._ingester = ingester
        self._mask = mask
        self._running: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def run(self) -> None:
        """Work until ``stop``."""
        sweeper = asyncio.create_task(self._sweep())
        try:
            await self._engine.run(self._handle)
        finally:
            sweeper.cancel()

    async def stop(self, grace: timedelta) -> None:
        """Claim nothing more; let runs come to their end for a while, then hand the rest back."""
        self._stopping = True
        self._engine.stop()
        if self._running:
            await asyncio.wait(set(self._running), timeout=grace.total_seconds())
        for running in list(self._running):
            running.cancel()

    async def _handle(self, job: int, task: UUID, generation: int) -> None:
        begun = await self._insist(lambda: tasks.begin(self._bookkeeping, job, task, generation))
        until = time.monotonic() + TURN
        while begun is not None:
            begun = await self._one(begun, lambda: not self._stopping and time.monotonic() < until)

    async def _one(self, begun: Begun, go_on: Callable[[], bool]) -> Begun | None:
        """Run one task to its end; returns the next to run, if any."""
        log = structlog.get_logger().bind(component="scheduler")
        holder = Holder(begun.installation, UUID(int=0), begun.task, begun.token)
        planner = Planner(self._database, self._engine, holder)
        counts = [0] * 5
        try:
            installation = await self._installations.at(begun.installation, begun.revision)
            log = log.bind(**{"connectorID": installation.id.encode(), "task-id": str(begun.task)})
            holder = msgspec.structs.replace(holder, uuid=installation.id.reference)
            planner = Planner(self._database, self._engine, holder)
            context = RunContext(
                installation, planner, log, ingester=self._ingester, holder=holder,
                task_id=begun.task, state=begun.state,
            )  # fmt: skip
            ending = await self._execute(installation, begun, context)
            counts = context.counts.as_list()
        except Superseded:
            ending = _STOPPED
        except InstallationGone:
            return None
        except asyncio.CancelledError:
            ending = _RETURNED
        except Exception as error:  # noqa: BLE001 - whatever keeps a connector from being made is the task's error
            ending = self._judged(error, begun, log)
        return await self._finish(begun, planner, ending, counts, go_on, log)

    async def _execute(self, installation: Installation, begun: Begun, context: RunContext) -> Ending:
        log = context.log
        log.info("Starting task...")
        try:
            body = installation.connector.resolve(msgspec.json.decode(begun.descriptor))
            limit = body.task.timeout if isinstance(body, Resolved) else TIMEOUT
            call = bound(body)
            if runs_on_loop(body):
                work = asyncio.ensure_future(_awaited(call(context)))
            else:
                threaded: Any = ThreadContext(context, asyncio.get_running_loop())
                work = asyncio.ensure_future(asyncio.to_thread(call, threaded))
            await self._within(work, limit, context)
        except (Superseded, asyncio.CancelledError):
            context.cancelled = True
            raise
        except Exception as error:  # noqa: BLE001 - connector code may raise anything
            return await self._failed(error, begun, context)
        log.info("Task terminated with success")
        return Ending("SUCCEEDED")

    async def _within(self, work: "asyncio.Future[Any]", limit: timedelta, context: RunContext) -> None:
        """Wait for the work, as long as its limit allows."""
        self._running.add(work)  # type: ignore[arg-type]  # ensure_future made tasks of them
        work.add_done_callback(self._running.discard)  # type: ignore[arg-type]
        done, _ = await asyncio.wait({work}, timeout=limit.total_seconds())
        if not done:
            context.cancelled = True
            work.cancel()
            raise TimeoutError(f"The task ran longer than its limit of {limit}.")
        work.result()

    async def _failed(self, error: Exception, begun: Begun, context: RunContext) -> Ending:
        ending = self._judged(error, begun, context.log)
        aside = judge(error, begun.attempts).aside
        if aside is not None:
            await self._insist(lambda: context.commit(Page(context.connector_id.reference, aside=[aside])))
            context.log.warning("Record set aside", reason=aside.reason)
        return ending

    def _judged(self, error: Exception, begun: Begun, log: Any) -> Ending:
        judgement = judge(error, begun.attempts)
        ending = judgement.ending
        if ending.outcome == "FAILED":
            ending = msgspec.structs.replace(ending, error=self._mask(ending.error or ""))
            trace = {"exc_info": error} if judgement.defect else {}
            again = {"retrying-in": f"{ending.retry.total_seconds():.1f}s"} if ending.retry else {}
            log.error(f"Task terminated with error: {ending.error}", **again, **trace)
        return ending

    async def _finish(
        self,
        begun: Begun,
        planner: Planner,
        ending: Ending,
        counts: list[int],
        go_on: Callable[[], bool],
        log: Any,
    ) -> Begun | None:
        async def finish() -> Begun | None:
            async with self._bookkeeping.transaction() as db:
                if planner.waiting and ending is not _STOPPED:
                    await planner.write(db)
                finished = await tasks.finish(db, begun, ending, counts, take_next=go_on())
                await self._engine.enqueue(db, finished.jobs)
            if finished.lost:
                log.warning("Task was taken over or stopped meanwhile")
            return finished.next

        try:
            # Whatever happens to this process now, the end of the run is written or it is not.
            return await asyncio.shield(asyncio.ensure_future(self._insist(finish)))
        except Superseded:
            return None

    async def _insist(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do it until the database is there to have it done: losing it is no failure of the task."""
        while True:
            try:
                return await work()
            except COLLISION:
                continue
            except LOST:
                if self._stopping:
                    raise
                await asyncio.sleep(_RETRY)

    async def _sweep(self) -> None:
        """Find tasks that no job stands for any more; a safety net, for every job is acknowledged late."""
        while True:
            try:
                await self.recover()
            except LOST:
                pass
            await asyncio.sleep(SWEEP)

    async def recover(self) -> int:
        """Put tasks that nobody works on back in line; returns how many."""
        suspects = await tasks.neglected(self._database)
        if not suspects:
            return 0
        orphans = await self._engine.missing([(row["id"], row["generation"], row["job"]) for row in suspects])
        for task, generation in orphans:
            async with self._database.transaction() as db:
                await self._engine.enqueue(db, await tasks.recover(db, task, generation))
        return len(orphans)


async def _awaited(work: Awaitable[None] | None) -> None:
    if work is not None:
        await work
