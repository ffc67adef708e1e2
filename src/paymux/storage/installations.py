"""Installation rows, from the first step of an install to the last of an uninstall."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from paymux.storage.database import Connection, Database, Row, affected, connect
from paymux.storage.statements import statements

_SQL = statements("installations")

# Rows a batch: some tens of milliseconds.
BATCH = 5000


class Tender(msgspec.Struct, frozen=True):
    """The process that is at an installation, and how long it counts as alive without another word."""

    who: UUID | None
    lease: timedelta | None


# For those who do it all in one go.
NOBODY = Tender(None, None)


async def any_sealed(url: str) -> bool:
    """Whether this database holds what only the keys it was sealed with can open: configs, bank accounts."""
    db = await connect(url)
    try:
        tables = await db.fetchrow(_SQL["migrated"]) or ()
        asked = [name for name, there in zip(("any", "any_bank_account"), tables, strict=False) if there]
        return any([await db.fetchval(_SQL[name]) for name in asked])
    finally:
        await db.close()


async def insert(
    db: Connection,
    *,
    uuid: UUID,
    provider: str,
    name: str,
    config: bytes,
    max_tasks: int,
    tender: Tender = NOBODY,
) -> int:
    """Take the name and keep the config. Raises UniqueViolation when the name is taken."""
    values = uuid, provider, name, config, max_tasks, tender.who, tender.lease
    return int(await db.fetchval(_SQL["insert"], *values))


async def installed(db: Connection, installation: int, tender: Tender = NOBODY) -> bool:
    """Open it to the outside; False when it is not ours any more."""
    return _one(await db.execute(_SQL["installed"], installation, tender.who))


async def keep_open(db: Connection, installation: int) -> bool:
    """Hold off its reset and uninstall until the end of the transaction; False when it is not open."""
    return await db.fetchrow(_SQL["keep_open"], installation) is not None


async def listed(db: Database) -> list[Row]:
    """All that are installed, oldest first."""
    return await db.fetch(_SQL["list"])


async def get(db: Database, uuid: UUID) -> Row | None:
    """One that is installed."""
    return await db.fetchrow(_SQL["get"], uuid)


async def load(db: Database, installation: int) -> Row | None:
    """One by its key, whatever its status."""
    return await db.fetchrow(_SQL["load"], installation)


async def names(db: Database) -> set[str]:
    """Names that are taken, in lower case."""
    return {row[0] for row in await db.fetch(_SQL["names"])}


async def unfinished(db: Database, *, alone: bool) -> list[Row]:
    """Those neither quite in nor quite out that nobody alive is at; when we are ``alone``, nobody is."""
    return await db.fetch(_SQL["unfinished"], alone)


async def claim(db: Database, installation: int, tender: Tender, *, force: bool = False) -> str | None:
    """Become the one who is at it, and return its status; None when it is done or somebody else's."""
    status: str | None = await db.fetchval(_SQL["claim"], installation, tender.who, tender.lease, force)
    return status


async def keep(db: Database, installation: int, tender: Tender) -> bool:
    """Say that we are alive; False when it is not ours any more."""
    return _one(await db.execute(_SQL["keep"], installation, tender.who, tender.lease))


async def release(db: Database, installation: int, tender: Tender) -> None:
    """Leave it to whoever comes next."""
    await db.execute(_SQL["release"], installation, tender.who)


async def leave(db: Connection, installation: int, tender: Tender = NOBODY) -> bool:
    """Close it to the outside, and stop it; False when somebody else did already."""
    left = _one(await db.execute(_SQL["leave"], installation, tender.who, tender.lease))
    if left:
        await stop(db, installation)
    return left


async def reset(db: Connection, installation: int, tender: Tender) -> bool:
    """Close it to the outside for as long as it takes to empty it, and stop it; False when it is not open."""
    begun = _one(await db.execute(_SQL["reset"], installation, tender.who, tender.lease))
    if begun:
        await stop(db, installation)
    return begun


async def stop(db: Connection | Database, installation: int) -> None:
    """Take its tasks out of everybody's hands."""
    await db.execute(_SQL["stop"], installation)


async def untold(db: Database, installation: int) -> bool:
    """Whether it has events that some sink does not have yet."""
    return bool(await db.fetchval(_SQL["untold"], installation))


async def empty(db: Database, installation: int, rows: int = BATCH) -> bool:
    """Delete some of what it brought in; False when nothing is left."""
    return bool(await db.fetchval(_SQL["empty"], installation, rows))


async def emptied(db: Database, installation: int, tender: Tender) -> bool:
    """Begin anew; False when it is not ours any more."""
    return _one(await db.execute(_SQL["emptied"], installation, tender.who))


async def reopened(db: Connection, installation: int, tender: Tender, max_tasks: int) -> bool:
    """Open it to the outside again; False when it is not ours any more."""
    return _one(await db.execute(_SQL["reopened"], installation, tender.who, max_tasks))


async def failed(db: Database, installation: int, tender: Tender, problem: str) -> None:
    """Keep why it could not be set up again."""
    await db.execute(_SQL["failed"], installation, tender.who, problem)


async def delete(db: Database, installation: int) -> None:
    """Delete the row itself, the last of an uninstall."""
    await db.execute(_SQL["delete"], installation)


async def update_config(
    db: Connection, installation: int, revision: int, *, config: bytes, name: str, max_tasks: int
) -> bool:
    """Replace the config that has this revision; False when somebody else did, or it is gone.

    Raises UniqueViolation when the name is taken.
    """
    return _one(await db.execute(_SQL["update_config"], installation, revision, config, name, max_tasks))


async def schedules(db: Connection, tasks: Sequence[UUID]) -> dict[UUID, Row]:
    """Of these tasks, those that exist: schedule, period, status."""
    return {row["id"]: row for row in await db.fetch(_SQL["schedules"], list(tasks))}


async def sealed(db: Database) -> list[Row]:
    """Every config as it is sealed."""
    return await db.fetch(_SQL["sealed"])


async def reseal(db: Database, installation: int, old: bytes, new: bytes) -> bool:
    """Replace a sealed config by the same one sealed anew; False when it has changed meanwhile."""
    return _one(await db.execute(_SQL["reseal"], installation, old, new))


def _one(tag: str) -> bool:
    return affected(tag) == 1
