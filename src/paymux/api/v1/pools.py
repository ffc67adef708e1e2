"""Pools: accounts looked at together, and what they hold together."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post
from litestar.params import QueryParameter

from paymux.api import lists
from paymux.api.errors import InvalidField, InvalidQuery
from paymux.api.fields import name_of
from paymux.api.lists import Listing
from paymux.api.openapi.described import described
from paymux.api.requests import Injected, Parts, PathText, decoded
from paymux.domain.ids import ConnectorID, account_id, parse_account_id, parse_uuid
from paymux.services.pooling import NoSuchAccount, NoSuchPool
from paymux.storage import pools
from paymux.storage.database import Row
from paymux.storage.pools import POOLS


class Pool(msgspec.Struct):
    """Accounts that are looked at together."""

    id: UUID
    name: str
    accounts: list[str]


class Sum(msgspec.Struct):
    """What the accounts of a pool hold of one asset, all together."""

    amount: int
    asset: str


class Sums(msgspec.Struct):
    """What they hold of each asset."""

    balances: list[Sum]


class NewPool(msgspec.Struct, rename={"account_ids": "accountIDs"}, forbid_unknown_fields=True):
    """What makes a pool."""

    name: str
    account_ids: list[str]


class OneMore(msgspec.Struct, rename={"account_id": "accountID"}, forbid_unknown_fields=True):
    """An account that is to be in a pool."""

    account_id: str


@post("/pools", status_code=200)
@described(body=NewPool)
async def create(request: Request[Any, Any, Any], parts: Injected) -> dict[str, Pool]:
    """Make a pool of accounts."""
    wanted = await decoded(request, NewPool)
    name = name_of(wanted.name)
    if not wanted.account_ids:
        raise InvalidField("accountIDs", "must name one account at least")
    accounts = [parse_account_id(one) for one in wanted.account_ids]
    try:
        pool = await parts.pooling.create(name, accounts)
    except NoSuchAccount as error:
        raise InvalidField(f"accountIDs[{error.place}]", str(error)) from None
    return {"data": await _read(parts, pool)}


@get("/pools")
@described(page=Pool, columns=POOLS.columns)
async def list_pools(parts: Injected, request: Request[Any, Any, Any]) -> Any:
    """List pools, newest first unless told otherwise, a page or all of them as lines."""
    read = partial(pools.listed, parts.database)
    return await lists.answer(parts, request, Listing("pools", POOLS.columns, read, lambda of: _shown(*of)))


@get("/pools/{pool:str}")
async def get_pool(pool: PathText, parts: Injected) -> dict[str, Pool]:
    """Read one pool."""
    return {"data": await _read(parts, _id(pool))}


@delete("/pools/{pool:str}", status_code=204)
async def delete_pool(pool: PathText, parts: Injected) -> None:
    """Delete a pool; its accounts stay."""
    await parts.pooling.delete(_id(pool))


@post("/pools/{pool:str}/accounts", status_code=204)
@described(body=OneMore)
async def add_account(pool: PathText, request: Request[Any, Any, Any], parts: Injected) -> None:
    """Put an account into a pool."""
    wanted = _id(pool)
    account = parse_account_id((await decoded(request, OneMore)).account_id)
    try:
        await parts.pooling.add(wanted, account)
    except NoSuchAccount as error:
        raise InvalidField("accountID", str(error)) from None


@delete("/pools/{pool:str}/accounts/{account:str}", status_code=204)
async def remove_account(pool: PathText, account: PathText, parts: Injected) -> None:
    """Take an account out of a pool."""
    await parts.pooling.remove(_id(pool), parse_account_id(account))


@get("/pools/{pool:str}/balances")
async def balances_at(
    pool: PathText, parts: Injected, at: Annotated[str | None, QueryParameter(name="at")] = None
) -> dict[str, Sums]:
    """What the accounts of a pool held together at a time."""
    wanted = _id(pool)
    if not at:
        raise InvalidQuery("at: is missing; for what they hold now there is …/balances/latest")
    time = lists.time("at", at)
    await _found(parts, wanted)
    return {"data": Sums(list(map(_sum, await pools.balances(parts.database, wanted, time))))}


@get("/pools/{pool:str}/balances/latest")
async def balances_now(pool: PathText, parts: Injected) -> dict[str, list[Sum]]:
    """What the accounts of a pool hold together by what is known last."""
    wanted = _id(pool)
    await _found(parts, wanted)
    return {"data": list(map(_sum, await pools.balances(parts.database, wanted)))}


def _id(text: str) -> UUID:
    return parse_uuid(text, "a pool")


async def _found(parts: Parts, pool: UUID) -> Row:
    row = await pools.get(parts.database, pool)
    if row is None:
        raise NoSuchPool(NoSuchPool.__doc__)
    return row


async def _read(parts: Parts, pool: UUID) -> Pool:
    return _shown(await _found(parts, pool), await pools.accounts(parts.database, [pool]))


def _shown(row: Row, accounts: Sequence[Row]) -> Pool:
    ids = [
        account_id(ConnectorID(one["provider"], one["installation"]), one["reference"]) for one in accounts
    ]
    return Pool(row["id"], row["name"], ids)


def _sum(row: Row) -> Sum:
    return Sum(row["amount"], row["asset"])


HANDLERS = [
    create,
    list_pools,
    get_pool,
    delete_pool,
    add_account,
    remove_account,
    balances_at,
    balances_now,
]
