"""What the framework hands to a connector's code: protocols, so that a connector can be run by anything."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from paymux.domain.account import Account
from paymux.domain.aside import SetAside
from paymux.domain.balance import Balance
from paymux.domain.ids import ConnectorID
from paymux.domain.payment import Payment
from paymux.domain.task import Restart, Schedule

S = TypeVar("S")


class TaskID(UUID):
    """The id of the running task, for injection by annotation."""


class Logger(Protocol):
    """Structured logging: ``ctx.log.info("Found files", count=3)``. Secrets are masked on the way out."""

    def debug(self, event: str, **fields: Any) -> None:
        """For developers."""

    def info(self, event: str, **fields: Any) -> None:
        """For operators, all is well."""

    def warning(self, event: str, **fields: Any) -> None:
        """For operators, something is odd."""

    def error(self, event: str, **fields: Any) -> None:
        """For operators, something failed."""


class Scheduler(Protocol):
    """Asks for tasks to be run."""

    async def schedule(self, descriptor: object, schedule: Schedule = ..., restart: Restart = ...) -> None:
        """Schedule the task that ``descriptor`` names (``self.read("a.json")``, or any JSON value).

        Within a run, what is scheduled is committed with the run's next page or its end, many at
        once; ``Schedule.now_sync()`` waits for the task's end and raises ``TaskFailed`` with its error.
        """


class Ingester(Protocol):
    """Takes in what a provider said."""

    async def ingest(
        self,
        *,
        accounts: Iterable[Account | SetAside] = (),
        balances: Iterable[Balance | SetAside] = (),
        payments: Iterable[Payment | SetAside] = (),
        state: object = None,
    ) -> None:
        """Commit one page: these records, the task's new state and their events, all or nothing.

        Records that make no sense are set aside with the reason and never fail the page. An
        unchanged record costs a look-up and tells nobody anything. ``state`` is any value that
        msgspec can encode; None leaves the state as it is.
        """


class StateReader(Protocol):
    """Knows where the task left off."""

    def state(self, model: type[S]) -> S:
        """Return the stored state as ``model``, or ``model()`` before there is one."""


class ConnectorContext(Scheduler, Protocol):
    """What ``install`` and the other methods of a connector are given."""

    @property
    def log(self) -> Logger:
        """A logger that carries the installation's id."""

    @property
    def connector_id(self) -> ConnectorID:
        """The installation's id."""

    @property
    def config(self) -> Any:
        """The installation's config of now."""

    def clock(self) -> datetime:
        """Return the time, aware, in UTC."""


class TaskContext(ConnectorContext, Ingester, StateReader, Protocol):
    """What a task is given."""

    @property
    def task_id(self) -> UUID:
        """The task's id."""

    @property
    def cancelled(self) -> bool:
        """Whether the run has been told to stop; a page committed after that is refused."""
