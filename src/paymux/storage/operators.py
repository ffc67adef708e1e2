"""What operators do to tasks and installations.

Each returns the jobs to hand to the engine in the same transaction. Verbs raise DatabaseError with code
REFUSED, whose message is a sentence for whoever asked, when they make no sense for a task.
"""

from typing import Literal
from uuid import UUID

from paymux.storage.database import Connection
from paymux.storage.statements import statements
from paymux.storage.tasks import Job, job_of

_SQL = statements("operators")

# Raised by functions/operators.sql.
REFUSED = "PX003"

Verb = Literal["run", "cancel", "pause", "resume"]


async def tell(db: Connection, verb: Verb, installation: int, task: UUID) -> list[Job]:
    """Run a task now, cancel, pause or resume it."""
    return [job_of(row) for row in await db.fetch(_SQL[verb], installation, task)]


async def pause(db: Connection, installation: int) -> None:
    """Let no task of an installation run; those under way are told to stop and go back to the line."""
    await db.execute(_SQL["pause_installation"], installation)


async def resume(db: Connection, installation: int) -> list[Job]:
    """Let its tasks run again, with the credentials it has."""
    return [job_of(row) for row in await db.fetch(_SQL["resume_installation"], installation)]


async def clear_login(db: Connection, installation: int) -> list[Job]:
    """Try its credentials again: they may be good ones, its config has changed. A paused one stays paused."""
    return [job_of(row) for row in await db.fetch(_SQL["clear_login"], installation)]
