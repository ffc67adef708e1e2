"""Put accounts into pools and take them out: each change with its event, all or nothing."""

from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

import structlog

from paymux.domain.errors import shown
from paymux.domain.ids import AccountParts, ConnectorID, account_id
from paymux.events.types import EventType
from paymux.storage import events, pools
from paymux.storage.database import Connection, Database, Row, UniqueViolation
from paymux.storage.listing import key_of

# Accounts of a pool. What they hold is summed while somebody waits for it.
ACCOUNTS_MAX = 100_000
# Accounts that an event names: brokers take no messages of megabytes.
TOLD_MAX = 1000


class NoSuchPool(LookupError):
    """There is no such pool."""


class NotInPool(LookupError):
    """This account is not in this pool."""


class NoSuchAccount(ValueError):
    """There is no such account; ``place`` is where among those that were named."""

    def __init__(self, place: int, account: AccountParts) -> None:
        provider = shown(account.connector.provider)
        super().__init__(f"there is no account {shown(account.reference)} of this connector of {provider}")
        self.place = place


class PoolNameTaken(ValueError):
    """A pool of this name exists. Choose another name, or add the accounts to that pool."""


class PoolTooLarge(ValueError):
    """A pool holds 100,000 accounts at most."""


class Pooling:
    """Changes pools; ``told`` is called when events may be waiting."""

    def __init__(self, database: Database, told: Callable[[], None]) -> None:
        self._database = database
        self._told = told

    async def create(self, name: str, accounts: Sequence[AccountParts]) -> UUID:
        """Make a pool of these accounts; one that is named twice is in it once.

        Raises:
            NoSuchAccount, PoolNameTaken, PoolTooLarge: nothing was made.
        """
        pool = uuid4()
        async with self._database.transaction() as db:
            rows = await _known(db, accounts)
            try:
                row = await pools.insert(db, pool, name)
            except UniqueViolation:
                raise PoolNameTaken(PoolNameTaken.__doc__) from None
            await self._add(db, row, rows)
        self._say("Pool created", pool)
        return pool

    async def add(self, pool: UUID, account: AccountParts) -> None:
        """Put an account into a pool. Once more changes nothing.

        Raises:
            NoSuchPool, NoSuchAccount, PoolTooLarge: nothing was changed.
        """
        async with self._database.transaction() as db:
            row = await _held(db, pool)
            await self._add(db, row, await _known(db, [account]))
        self._say("Account put into pool", pool)

    async def remove(self, pool: UUID, account: AccountParts) -> None:
        """Take an account out of a pool.

        Raises:
            NoSuchPool, NotInPool: nothing was changed.
        """
        async with self._database.transaction() as db:
            row = await _held(db, pool)
            if not await pools.remove(db, pool, key_of(account)):
                raise NotInPool(NotInPool.__doc__)
            await _tell(db, row)
        self._say("Account taken out of pool", pool)

    async def delete(self, pool: UUID) -> None:
        """Delete a pool; its accounts are what they were.

        Raises:
            NoSuchPool: there was none.
        """
        async with self._database.transaction() as db:
            await _held(db, pool)
            await pools.delete(db, pool)
            await events.insert(
                db, installation=None, type=EventType.DELETED_POOL, object=pool, part=pool,
                facts={},
            )  # fmt: skip
        self._say("Pool deleted", pool)

    async def _add(self, db: Connection, pool: Row, rows: Sequence[Row]) -> None:
        if not await pools.add(db, pool["id"], rows):
            return
        if await pools.count(db, pool["id"]) > ACCOUNTS_MAX:
            raise PoolTooLarge(PoolTooLarge.__doc__)
        await _tell(db, pool)

    def _say(self, what: str, pool: UUID) -> None:
        structlog.get_logger().info(what, component="pools", pool=str(pool))
        self._told()


async def _held(db: Connection, pool: UUID) -> Row:
    row = await pools.hold(db, pool)
    if row is None:
        raise NoSuchPool(NoSuchPool.__doc__)
    return row


async def _known(db: Connection, accounts: Sequence[AccountParts]) -> list[Row]:
    keys = [key_of(account) for account in accounts]
    found = await pools.known(db, keys)
    for place, (key, account) in enumerate(zip(keys, accounts, strict=True)):
        if key not in found or found[key]["provider"] != account.connector.provider:
            raise NoSuchAccount(place, account)
    return list(found.values())


async def _tell(db: Connection, pool: Row) -> None:
    """Tell what the pool is now; of a very large one not what is in it."""
    rows = await pools.accounts(db, [pool["id"]], TOLD_MAX + 1)
    named = [account_id(ConnectorID(row["provider"], row["installation"]), row["reference"]) for row in rows]
    await events.insert(
        db, installation=None, type=EventType.SAVED_POOL, object=pool["id"], part=uuid4(),
        facts={
            "name": pool["name"], "createdAt": pool["created_at"],
            "accountIDs": named if len(named) <= TOLD_MAX else None,
        },
    )  # fmt: skip
