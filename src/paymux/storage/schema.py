"""Brings a database to this version's schema: numbered migrations, then the functions, under a lock.

Any number of processes may start at once: one migrates, the others wait and find it done. The
functions hold no data, so they live in a schema of their own that is made anew when they changed.
"""

import hashlib
from collections.abc import Awaitable, Callable

from paymux.storage.database import Connection, Database
from paymux.storage.statements import scripts

# Any constant will do, as long as nobody else in this database uses it.
_LOCK = 0x7061796D7578

Also = Callable[[Connection], Awaitable[None]]


class DatabaseTooNew(RuntimeError):
    """The database was migrated by a newer paymux. Start that version, or restore a backup."""


async def migrate(database: Database, also: Also | None = None) -> list[str]:
    """Apply what is missing, in one transaction; returns the names of what was applied.

    ``also`` runs in the same transaction, for the engine's own tables.

    Raises:
        DatabaseTooNew: a migration is recorded that this version does not know.
    """
    migrations = scripts("migrations")
    functions = scripts("functions")
    fingerprint = hashlib.sha256("".join(text for _, text in functions).encode()).hexdigest()
    applied = []
    async with database.transaction() as db:
        await db.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await db.execute("CREATE SCHEMA IF NOT EXISTS paymux")
        await db.execute(
            "CREATE TABLE IF NOT EXISTS migration ("
            " name text PRIMARY KEY, note text, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        known = {row["name"]: row["note"] for row in await db.fetch("SELECT name, note FROM migration")}
        unknown = sorted(set(known) - {name for name, _ in migrations} - {"functions"})
        if unknown:
            raise DatabaseTooNew(f"{DatabaseTooNew.__doc__} It has {', '.join(unknown)}.")
        for name, script in migrations:
            if name not in known:
                await db.execute(script)
                await db.execute("INSERT INTO migration (name) VALUES ($1)", name)
                applied.append(name)
        if also is not None:
            await also(db)
        if known.get("functions") != fingerprint:
            await db.execute("DROP SCHEMA IF EXISTS paymux_code CASCADE; CREATE SCHEMA paymux_code")
            await db.execute("SET LOCAL search_path = paymux_code, paymux, public")
            for _, script in functions:
                await db.execute(script)
            await db.execute("SET LOCAL search_path = paymux, paymux_code, public")
            await db.execute(
                "INSERT INTO migration (name, note) VALUES ('functions', $1)"
                " ON CONFLICT (name) DO UPDATE SET note = excluded.note, applied_at = now()",
                fingerprint,
            )
            applied.append("functions")
    if applied:
        # A table that was never analysed is planned as if it were empty.
        await database.execute("ANALYZE")
    return applied
