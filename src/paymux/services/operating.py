"""What operators do to tasks and installations: run now, cancel, pause, resume.

The rows are the truth, so it does not matter which process is asked: workers look at the tasks they run
every half second, and find no place for what is not to run.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

import structlog

from paymux.runtime.engine import Engine
from paymux.runtime.installations import InstallationGone
from paymux.runtime.patience import patiently
from paymux.storage import operators, task_lists
from paymux.storage.database import INSTALLATION_GONE, Database, DatabaseError, Row, code_of
from paymux.storage.operators import Verb


class NoSuchTask(LookupError):
    """There is no such task."""


class NotNow(ValueError):
    """This makes no sense for the task as it is."""


class Operating:
    """Operators' verbs. Losing the database is for whoever asked to hear of; collisions are not."""

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine

    async def get(self, installation: int, task: UUID) -> Row:
        """A task as it is shown. Raises NoSuchTask."""
        row = await task_lists.get(self._database, installation, task)
        if row is None:
            raise NoSuchTask(NoSuchTask.__doc__)
        return row

    async def task(self, verb: Verb, installation: int, task: UUID) -> Row:
        """Run a task now, cancel, pause or resume it; returns it as it is then.

        Raises:
            NoSuchTask: this installation has none of this id.
            NotNow: the sentence says why it makes no sense, and what would.
            InstallationGone: it is being removed.
        """
        await self.get(installation, task)
        try:
            await _in_spite_of_collisions(partial(self._tell, verb, installation, task))
        except DatabaseError as error:
            if code_of(error) == operators.REFUSED:
                raise NotNow(str(error)) from None
            if code_of(error) == INSTALLATION_GONE:
                raise InstallationGone(InstallationGone.__doc__) from None
            raise
        _log().info("Task told", verb=verb, **{"task-id": str(task)})
        return await self.get(installation, task)

    async def pause(self, installation: int) -> None:
        """Let no task of an installation run until it is resumed. Once more changes nothing."""

        async def pause() -> None:
            async with self._database.transaction() as db:
                await operators.pause(db, installation)

        await _in_spite_of_collisions(pause)
        _log().info("Installation paused", installation=installation)

    async def resume(self, installation: int) -> None:
        """Let its tasks run again, also when it had needed a login: the credentials are tried again."""

        async def resume() -> None:
            async with self._database.transaction() as db:
                await self._engine.enqueue(db, await operators.resume(db, installation))

        await _in_spite_of_collisions(resume)
        _log().info("Installation resumed", installation=installation)

    async def _tell(self, verb: Verb, installation: int, task: UUID) -> None:
        async with self._database.transaction() as db:
            await self._engine.enqueue(db, await operators.tell(db, verb, installation, task))


async def _in_spite_of_collisions(work: Callable[[], Awaitable[None]]) -> None:
    await patiently(work, lambda: True)


def _log() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger().bind(component="operators")
    return log
