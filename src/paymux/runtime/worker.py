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
from paymux.observe.instruments import Instruments, RunSeen
from paymux.runtime.contexts import RunContext
from paymux.runtime.engine import Engine
from paymux.runtime.execution import Execution, HandedBack, contained
from paymux.runtime.injection import bound, name_of, runs_on_loop
from paymux.runtime.installations import Installation, InstallationGone, Installations
from paymux.runtime.keeping import again_and_again
from paymux.runtime.outcomes import crashed, judge
from paymux.runtime.patience import is_lost, patiently
from paymux.runtime.scheduling import Planner
from paymux.runtime.stalls import stalls_told
from paymux.sdk.tasks import TIMEOUT, Resolved
from paymux.storage import tasks
from paymux.storage.database import Database
from paymux.storage.tasks import Begun, Ending, Finished
from paymux.storage.together import Together

# A place goes back to the engine after this, so that other installations get their turn.
TURN = 10.0
# How often runs are looked for that were told to stop, or have lost their task to somebody else.
WATCH = 0.5
# How often tasks that fell out of everybody's hands are looked for: those whose end was lost with a database
# that crashed, while the engine still knew that their job was done.
SWEEP = 10.0
# How often runs are looked for that are older than is kept, how many are deleted at once (some
# milliseconds), and the pause after each, in which others get their turn.
PRUNE = 300.0
_PRUNE_BATCH = 1000
_PRUNE_PAUSE = 0.05
# At the end of the grace, code that is still at work has this long to clean up.
_LEAVE = 0.5
# And then, that it was handed back has this long to be written.
_WRITE = 2.0

# Of what goes on beside them.
_TROUBLE = "Looking after runs failed"

GoOn = Callable[[], bool]

_SUCCEEDED = Ending("SUCCEEDED")
_STOPPED = Ending("STOPPED", "Told to stop.")
_RETURNED = Ending("RETURNED")


class Worker:
    """Runs tasks of all installations, any number of workers on one database."""

    def __init__(
        self,
        *,
        database: Database,
        bookkeeping: Database,
        instruments: Instruments | None = None,
        engine: Engine,
        installations: Installations,
        ingester: Ingester,
        mask: Mask,
        retention: timedelta,
    ) -> None:
        self._database = database
        # Where losing the last moment with the server is harmless, the disk is not waited for.
        self._bookkeeping = bookkeeping
        self._instruments = instruments or Instruments()
        self._engine = engine
        self._installations = installations
        self._ingester = ingester
        self._mask = mask
        self._retention = retention
        self._end_together: Together[tuple[Begun, list[int]], Finished | None] = Together(
            lambda ends: tasks.finish_at_once(bookkeeping, ends)
        )
        # By token, with the task.
        self._running: dict[int, tuple[UUID, Execution]] = {}
        self._watched: set[int] = set()
        self._handling: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def run(self) -> None:
        """Work until ``stop``."""
        beside = [
            asyncio.create_task(again_and_again(WATCH, self._watch, _TROUBLE)),
            asyncio.create_task(again_and_again(SWEEP, self.recover, _TROUBLE)),
            asyncio.create_task(again_and_again(PRUNE, self.prune, _TROUBLE)),
        ]
        try:
            with stalls_told():
                await self._engine.run(self._handle)
        finally:
            for task in beside:
                task.cancel()

    @property
    def running(self) -> int:
        """How many runs are under way in this worker."""
        return len(self._running)

    async def stop(self, grace: timedelta) -> None:
        """Claim nothing more; hand runs back at their next checkpoint, the rest after a while."""
        self._stopping = True
        for _, execution in self._running.values():
            execution.leave()
        self._engine.stop()
        handling = set(self._handling)
        if not handling:
            return
        patience = max(grace.total_seconds() - _LEAVE, 0)
        _, late = await asyncio.wait(handling, timeout=patience)
        for _, execution in list(self._running.values()):
            execution.stop(HandedBack(), unwind=_LEAVE)
        if late:
            await asyncio.wait(late, timeout=_LEAVE + _WRITE)

    async def _handle(self, job: int, task: UUID, generation: int) -> None:
        own = asyncio.current_task()
        assert own is not None  # noqa: S101 - this is a coroutine
        self._handling.add(own)
        try:
            await self._job(job, task, generation)
        except (Superseded, InstallationGone):
            raise
        except Exception as error:
            if not is_lost(error):
                structlog.get_logger().error(
                    "The beginning or the end of a run could not be written", exc_info=error
                )
            raise
        finally:
            self._handling.discard(own)

    async def _job(self, job: int, task: UUID, generation: int) -> None:
        begun: Begun | None = await self._insist(
            lambda: tasks.begin(self._bookkeeping, job, task, generation)
        )
        until = time.monotonic() + TURN
        while begun is not None:
            with self._instruments.run(begun.task, begun.attempts, begun.delay) as seen:
                begun = await self._one(begun, lambda: not self._stopping and time.monotonic() < until, seen)

    async def _one(self, begun: Begun, go_on: GoOn, seen: RunSeen) -> Begun | None:
        """Run one task to its end; returns the next to run, if any.

        Raises:
            Superseded, InstallationGone: the task is no longer ours, so the job may not be either.
        """
        log = structlog.get_logger().bind(component="scheduler", **{"task-id": str(begun.task)})
        planner: Planner | None = None
        counts = [0] * 5
        if begun.cancelled:
            seen.ended(_STOPPED.outcome)
            return await self._finish(begun, planner, _STOPPED, counts, go_on)
        if (rest := crashed(begun.crashes)) is not None:
            log.error("Task given a rest", error=rest.error)
            seen.ended(rest.outcome, rest.error)
            return await self._finish(begun, planner, rest, counts, go_on)
        try:
            installation = await self._insist(
                lambda: self._installations.at(begun.installation, begun.revision)
            )
            log = structlog.get_logger().bind(
                component="scheduler",
                **{"connectorID": installation.id.encode(), "task-id": str(begun.task)},
            )
            seen.provider = installation.id.provider
            holder = Holder(
                begun.installation, installation.id.reference, begun.task, begun.token, seen.provider
            )
            planner = Planner(self._database, self._engine, holder)
            context = RunContext(
                installation, planner, log, ingester=self._ingester, holder=holder,
                task_id=begun.task, state=begun.state, seen=seen,
            )  # fmt: skip
            log.info("Starting task...")
            ending = await self._outcome(installation, begun, context)
            counts = context.counts.as_list()
        except InstallationGone:
            raise
        except Superseded:
            log.info("Task stopped")
            ending = _STOPPED
        except HandedBack:
            log.info("Task handed back")
            ending = _RETURNED
        except Exception as error:  # noqa: BLE001 - whatever keeps a connector from being made is the task's error
            ending = self._judged(error, begun, log)
        seen.ended(ending.outcome, ending.error)
        return await self._finish(begun, planner, ending, counts, go_on)

    async def _outcome(self, installation: Installation, begun: Begun, context: RunContext) -> Ending:
        try:
            await self._execute(installation, begun, context)
        except (Superseded, HandedBack):
            raise
        except Exception as error:  # noqa: BLE001 - connector code may raise anything
            aside = judge(error, begun.attempts).aside
            if aside:
                await context.commit(Page(context.connector_id.reference, aside=aside))
                for skipped in aside:
                    context.log.warning("Record set aside", reason=skipped.reason)
            return self._judged(error, begun, context.log)
        context.log.info("Task terminated with success")
        return _SUCCEEDED

    async def _execute(self, installation: Installation, begun: Begun, context: RunContext) -> None:
        with contained():
            body = installation.connector.resolve(msgspec.json.decode(begun.descriptor))
        call = bound(body)
        context.seen.task = name_of(body)
        execution = Execution(call, context, on_loop=runs_on_loop(body))
        self._running[begun.token] = begun.task, execution
        if self._stopping:
            execution.leave()
        try:
            await execution.within(body.timeout if isinstance(body, Resolved) else TIMEOUT)
        finally:
            del self._running[begun.token]

    def _judged(self, error: Exception, begun: Begun, log: Any) -> Ending:
        judgement = judge(error, begun.attempts)
        ending = judgement.ending
        if ending.outcome == "FAILED":
            ending = msgspec.structs.replace(ending, error=self._mask(ending.error or ""))
            trace = {"exc_info": error} if judgement.defect else {}
            again = {"retrying-in": f"{ending.retry.total_seconds():.1f}s"} if ending.retry else {}
            line = f"Task terminated with error: {ending.error}"
            log.error(line, **again, **trace)
        return ending

    async def _finish(
        self, begun: Begun, planner: Planner | None, ending: Ending, counts: list[int], go_on: GoOn
    ) -> Begun | None:
        plans = planner.waiting if planner is not None and ending is not _STOPPED else []

        async def finish() -> Finished:
            if ending is _SUCCEEDED and not plans and go_on():
                finished = await self._end_together((begun, counts))
                if finished is not None:
                    return finished
            async with self._bookkeeping.transaction() as db:
                if planner is not None and plans:
                    await planner.write(db, plans=plans)
                finished = await tasks.finish(db, begun, ending, counts, take_next=go_on())
                if finished.lost:  # and with it what was planned
                    raise Superseded(Superseded.__doc__)
                await self._engine.enqueue(db, finished.jobs)
            return finished

        finished: Finished = await self._insist(finish)
        if finished.lost:
            raise Superseded(Superseded.__doc__)
        return finished.next

    async def _insist(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do it when the database is there to have it done, unless we are leaving."""
        return await patiently(work, lambda: self._stopping)

    async def _watch(self) -> None:
        """Stop runs that should not go on. Those that last are looked at; most end before."""
        held = {token: held for token, held in self._running.items() if token in self._watched}
        self._watched = set(self._running)
        if held:
            runs = [(task, token) for token, (task, _) in held.items()]
            found = await tasks.dismissed(self._bookkeeping, runs)
            for token in found:
                held[token][1].stop(Superseded(Superseded.__doc__))

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

    async def prune(self) -> int:
        """Delete runs that are older than is kept, a few at a time; returns how many."""
        pruned = 0
        while gone := await tasks.prune(self._database, self._retention, _PRUNE_BATCH):
            pruned += gone
            await asyncio.sleep(_PRUNE_PAUSE)
        return pruned
