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
# A UUID of 16 bytes as the driver has it: made, hashed and sent in a fraction of the time of another.
Key: TypeAlias = asyncpg.pgproto.pgproto.UUID

# What being without the database looks like, as opposed to a statement it refuses.
# A connection that has just been told of its end, and has yet to see it, is the driver's internal error.
_GONE = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CannotConnectNowError,
         asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.InternalClientError)  # fmt: skip
# The same, around code that does nothing but ask the database: then any error of the system is its.
LOST = (OSError, *_GONE)
# It is there but has no connection to spare, is starting, or ended a transaction that stood still.
_BUSY = {"53300", "57P03", "25P03"}
# Two transactions met; nothing is wrong and the whole one may be tried again.
COLLISION = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
# Raised by our own functions (storage/functions).
INSTALLATION_GONE = "PX001"
SUPERSEDED = "PX002"

DatabaseError = asyncpg.PostgresError
UniqueViolation = asyncpg.UniqueViolationError


class Locked(Exception):
    """Somebody else holds this lock."""


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


class Unreachable(ConnectionError):
    """The database server cannot be reached."""


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
        async with self.connection() as db:
            return await db.fetch(sql, *args, timeout=timeout)

    async def fetchrow(self, sql: str, *args: Any) -> Row | None:
        """First row."""
        async with self.connection() as db:
            return await db.fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """First column of the first row."""
        async with self.connection() as db:
            return await db.fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> str:
        """Run one statement; returns its command tag."""
        async with self.connection() as db:
            return await db.execute(sql, *args)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One connection, each statement its own transaction.

        Raises Unreachable: what else the caller does may raise an OSError of its own.
        """
        try:
            connection = await self._pool.acquire()
        except OSError as error:
            raise Unreachable(str(error)) from error
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    @asynccontextmanager
    async def locked(self, name: str, patience: float) -> AsyncIterator[None]:
        """Hold a lock of this name, which nobody else on this database holds meanwhile.

        It goes with a connection of its own, also when this process dies.

        Raises:
            Locked: somebody else held it for longer than ``patience``, in seconds.
        """
        connection = await connect(self.url)
        try:
            try:
                await connection.execute(
                    "SELECT pg_advisory_lock(hashtextextended($1, 0))", name, timeout=patience
                )
            except TimeoutError:
                raise Locked(Locked.__doc__) from None
            yield
        finally:
            await connection.close(timeout=1)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction: committed at the end, rolled back by an exception."""
        async with self.connection() as connection, connection.transaction():
            yield connection


async def _teach_numbers(connection: Connection) -> None:
    # As text: a fifth faster than Decimal, and exact at any size.
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=int, format="text")


def affected(tag: str) -> int:
    """Count of rows in a command tag such as ``DELETE 5``."""
    return int(tag.rsplit(" ", 1)[-1])


def is_away(error: BaseException) -> bool:
    """Whether an error means that the database was not there to answer us."""
    # The driver's complaint about an argument comes as a ValueError, and will come again.
    gone = isinstance(error, (Unreachable, *_GONE)) and not isinstance(error, ValueError)
    return gone or code_of(error) in _BUSY


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
    "Key",
    "Locked",
    "Row",
    "UniqueViolation",
    "Unreachable",
    "affected",
    "code_of",
    "is_away",
)
