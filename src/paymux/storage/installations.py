"""Installation rows, from the first step of an install to the last of an uninstall."""

from uuid import UUID

from paymux.storage.database import Connection, Database, Row, affected, connect
from paymux.storage.statements import statements

_SQL = statements("installations")

# Rows a batch: some tens of milliseconds.
BATCH = 5000


async def any_sealed(url: str) -> bool:
    """Whether this database holds configs, which only the keys they were sealed with can open."""
    db = await connect(url)
    try:
        return bool(await db.fetchval(_SQL["migrated"]) and await db.fetchval(_SQL["any"]))
    finally:
        await db.close()


async def insert(
    db: Connection, *, uuid: UUID, provider: str, name: str, config: bytes, max_tasks: int
) -> int:
    """Take the name and keep the config. Raises UniqueViolation when the name is taken."""
    return int(await db.fetchval(_SQL["insert"], uuid, provider, name, config, max_tasks))


async def installed(db: Connection, installation: int) -> None:
    """Open it to the outside."""
    await db.execute(_SQL["installed"], installation)


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


async def unfinished(db: Database) -> list[Row]:
    """Those that are neither quite in nor quite out."""
    return await db.fetch(_SQL["unfinished"])


async def leave(db: Connection, installation: int) -> bool:
    """Close it to the outside; False when somebody else did already."""
    return affected(await db.execute(_SQL["leave"], installation)) == 1


async def untold(db: Database, installation: int) -> int:
    """Count of its events that no sink has yet."""
    return int(await db.fetchval(_SQL["untold"], installation))


async def delete_batch(db: Database, installation: int) -> bool:
    """Delete some of what an installation brought in; False when nothing is left, row included."""
    if await db.fetchval(_SQL["has_payments"], installation):
        await db.execute(_SQL["delete_payments"], installation, BATCH)
        return True
    if await db.fetchval(_SQL["has_accounts"], installation):
        await db.execute(_SQL["delete_accounts"], installation, BATCH)
        return True
    for table in ("runs", "tasks", "set_aside", "events"):
        if affected(await db.execute(_SQL[f"delete_{table}"], installation, BATCH)):
            return True
    await db.execute(_SQL["delete"], installation)
    return False
