"""What a connector's code is given: the implementation behind the sdk's contexts.

It belongs to one installation and, in a task, to one run. Nothing of another installation can be
reached through it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from datetime import UTC, datetime
from functools import partial
from threading import get_ident
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from paymux.domain.account import Account
from paymux.domain.aside import SetAside
from paymux.domain.balance import Balance
from paymux.domain.ids import ConnectorID
from paymux.domain.payment import Payment
from paymux.domain.task import Restart, Schedule
from paymux.ingestion.ingester import Counts, Holder, Ingester
from paymux.ingestion.page import Page
from paymux.observe.instruments import RunSeen
from paymux.runtime.installations import Installation
from paymux.runtime.patience import patiently
from paymux.runtime.scheduling import Planner
from paymux.sdk import Logger

S = TypeVar("S")

# A checkpoint is where a task left off, not what it has seen.
STATE_MAX = 1024 * 1024


class StateTooLarge(ValueError):
    """A task's state is a checkpoint of at most 1 MiB. Keep where you are, not what you have seen."""


class InstallationContext:
    """Given to ``install`` and the other methods of a connector."""

    def __init__(self, installation: Installation, planner: Planner, log: Logger) -> None:
        self._installation = installation
        self._planner = planner
        self.log = log

    @property
    def connector_id(self) -> ConnectorID:
        """The installation's id."""
        return self._installation.id

    @property
    def config(self) -> Any:
        """The installation's config of now."""
        return self._installation.connector.config

    def clock(self) -> datetime:
        """Return the time, aware, in UTC."""
        return datetime.now(UTC)

    async def schedule(
        self,
        descriptor: object,
        schedule: Schedule = Schedule.now(),  # noqa: B008 - it is frozen
        restart: Restart = Restart.IF_NOT_ACTIVE,
    ) -> None:
        """Schedule a task."""
        await self._planner.schedule(descriptor, schedule, restart)


class RunContext(InstallationContext):
    """Given to a task for one run of it."""

    def __init__(
        self,
        installation: Installation,
        planner: Planner,
        log: Logger,
        *,
        ingester: Ingester,
        holder: Holder,
        task_id: UUID,
        state: str | None,
        seen: RunSeen,
    ) -> None:
        super().__init__(installation, planner, log)
        self._ingester = ingester
        self._holder = holder
        self._state = state
        self.seen = seen
        self.task_id = task_id
        self.cancelled = False
        # Called whenever a new state is committed: from here another run can go on.
        self.at_checkpoint: Callable[[], object] = _go_on
        self.counts = Counts()

    def state(self, model: type[S]) -> S:
        """Return the stored state as ``model``, or ``model()`` before there is one."""
        if self._state is None:
            return model()
        return msgspec.json.decode(self._state, type=model)

    async def ingest(
        self,
        *,
        accounts: Iterable[Account | SetAside] = (),
        balances: Iterable[Balance | SetAside] = (),
        payments: Iterable[Payment | SetAside] = (),
        state: object = None,
    ) -> None:
        """Commit one page."""
        page = Page(self._holder.uuid, accounts=accounts, balances=balances, payments=payments)
        if state is None:
            await self.commit(page)
            return
        encoded = msgspec.json.encode(state)
        if len(encoded) > STATE_MAX:
            raise StateTooLarge(StateTooLarge.__doc__)
        await self.commit(page, encoded.decode())

    async def commit(self, page: Page, state: str | None = None) -> None:
        """Commit a page with whatever the run has scheduled so far."""
        plans = self._planner.waiting

        async def commit() -> None:
            also = partial(self._planner.write, plans=plans) if plans else None
            await self._ingester.commit(self._holder, page, self.counts, state=state, also=also)

        await patiently(commit)
        self._planner.written(plans)
        if state is not None:
            self._state = state
            self.at_checkpoint()


def _go_on() -> None:
    pass


class ThreadContext:
    """A run's context for a plain function in a thread: its calls wait by themselves.

    ``ctx.ingest(…)`` and ``ctx.schedule(…)`` have happened when they return, so there is nothing to
    await; whatever else is asked of it is the run's context.
    """

    def __init__(self, inner: RunContext, loop: asyncio.AbstractEventLoop) -> None:
        """Make it on the loop's own thread."""
        self._inner = inner
        self._loop = loop
        self._loop_thread = get_ident()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def schedule(self, *args: Any, **kwargs: Any) -> Awaitable[None]:
        """Schedule a task, now."""
        return self._now(self._inner.schedule(*args, **kwargs))

    def ingest(self, **kwargs: Any) -> Awaitable[None]:
        """Commit one page, now."""
        return self._now(self._inner.ingest(**kwargs))

    def _now(self, work: Coroutine[Any, Any, None]) -> Awaitable[None]:
        if get_ident() == self._loop_thread:
            return work  # A plain function returned a coroutine: that part runs on the loop, and awaits.
        asyncio.run_coroutine_threadsafe(work, self._loop).result()
        return _Done()


class _Done:
    """An awaitable that has nothing left to do."""

    def __await__(self) -> Any:
        return iter(())
