"""The connection to PostgreSQL: a pool whose connections all speak the same way.

Amounts come and go as int (``numeric`` has no upper bound), times are UTC, names are found in the
schema ``paymux`` first. Other rooms say ``Database`` and ``Connection`` and never name the driver.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:  # the driver's classes are generic in its stubs only
    Connection = asyncpg.Connection | PoolConnectionProxy
Row: TypeAlias = asyncpg.Record

# What being without the database looks like, as opposed to a statement it refuses.
# A connection that has just been told of its end, and has yet to see it, is the driver's internal error.
LOST = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CannotConnectNowError,
        asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.InternalClientError)  # fmt: skip
# Two transactions met; nothing is wrong and the whole one may be tried again.
COLLISION = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
# Raised by our own functions (storage/functions).
INSTALLATION_GONE = "PX001"
SUPERSEDED = "PX002"

DatabaseError = asyncpg.PostgresError
UniqueViolation = asyncpg.UniqueViolationError

# Seconds; a server that takes longer to answer is not there.
_CONNECT = 10

_SESSION = {
    "application_name": "paymux",
    "search_path": "paymux,paymux_code,public",
    "timezone": "UTC",
    "jit": "off",
    # A page looks up its own keys, whatever the table's size: on the default of 4, made for turning
    # disks, the planner reads a whole table to find a thousand rows of it.
    "random_page_cost": "1.1",
    # A run that loses its worker must not hold locks for ever.
    "idle_in_transaction_session_timeout": "60s",
}


async def connect(url: str) -> Connection:
    """One connection outside of any pool; the caller closes it."""
    return await asyncpg.connect(url, server_settings=_SESSION, timeout=_CONNECT)


class _Connection(asyncpg.Connection):
    def get_reset_query(self) -> str:
        """Skip the reset between two users: ours leave nothing behind, and it doubles a small read."""
        return ""


class Database:
    """A pool of connections."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", url: str) -> None:
        self._pool = pool
        self.url = url

    @classmethod
    async def open(cls, url: str, *, size: int = 10, **settings: str) -> "Database":
        """Connect; ``settings`` are PostgreSQL session settings beside our own.

        Raises:
            OSError, DatabaseError: the server cannot be reached or refuses us.
        """
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            connection_class=_Connection,
            server_settings=_SESSION | settings,
            init=_teach_numbers,
            timeout=_CONNECT,
        )
        return cls(pool, url)

    async def close(self) -> None:
        """Close every connection, waiting a little for those in use."""
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except TimeoutError:
            self._pool.terminate()

    @property
    def connections(self) -> tuple[int, int, int]:
        """How many are in use, how many idle, and how many there may be."""
        size, idle = self._pool.get_size(), self._pool.get_idle_size()
        return size - idle, idle, self._pool.get_max_size()

    async def fetch(self, sql: str, *args: Any, timeout: float | None = None) -> list[Row]:  # noqa: ASYNC109 - the driver's, which tells the server too
        """All rows. With ``timeout``, a TimeoutError after so many seconds."""
        return await self._pool.fetch(sql, *args, timeout=timeout)

    async def fetchrow(self, sql: str, *args: Any) -> Row | None:
        """First row."""
        return await self._pool.fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """First column of the first row."""
        return await self._pool.fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> str:
        """Run one statement; returns its command tag."""
        return await self._pool.execute(sql, *args)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One connection, each statement its own transaction."""
        async with self._pool.acquire() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction: committed at the end, rolled back by an exception."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection


async def _teach_numbers(connection: Connection) -> None:
    # As text: a fifth faster than Decimal, and exact at any size.
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=int, format="text")


def affected(tag: str) -> int:
    """Count of rows in a command tag such as ``DELETE 5``."""
    return int(tag.rsplit(" ", 1)[-1])


def code_of(error: BaseException) -> str:
    """The SQLSTATE of an error, or an empty string."""
    return getattr(error, "sqlstate", None) or ""


__all__: Sequence[str] = (
    "COLLISION",
    "INSTALLATION_GONE",
    "LOST",
    "SUPERSEDED",
    "Connection",
    "Database",
    "DatabaseError",
    "Row",
    "UniqueViolation",
    "affected",
    "code_of",
)
