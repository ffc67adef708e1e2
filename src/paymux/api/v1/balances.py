"""Balances: what an account held, as intervals from when until when."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from litestar import Request, get

from paymux.api import lists
from paymux.api.errors import InvalidQuery
from paymux.api.lists import Listing
from paymux.api.openapi.described import described
from paymux.api.requests import Injected, PathText
from paymux.api.v1 import accounts
from paymux.domain.errors import DomainError
from paymux.domain.filter import Compare, Condition, Operator
from paymux.domain.money import Asset
from paymux.storage import balances
from paymux.storage.balances import BALANCES
from paymux.storage.database import Row

_PARAMETERS = ("asset", "from", "to", "at")


class Balance(msgspec.Struct, rename="camel", kw_only=True):
    """What an account held of an asset from ``created_at`` until it was last seen, ``last_updated_at``."""

    account_id: str
    created_at: datetime
    last_updated_at: datetime
    # The same as the asset, for older clients.
    currency: str
    asset: str
    balance: int


@get("/accounts/{account:str}/balances")
@described(page=Balance, columns=BALANCES.columns, parameters=(*_PARAMETERS, "limit"))
async def list_balances(account: PathText, parts: Injected, request: Request[Any, Any, Any]) -> Any:
    """List what an account held, newest first unless told otherwise."""
    row = await accounts.find(parts, account)
    shown_id = accounts.shown(row).id
    listing = Listing(
        f"balances {row['key'].hex}",
        BALANCES.columns,
        partial(balances.listed, parts.database),
        lambda one: _shown(shown_id, one),
        lambda said: [balances.of(row["key"]), *_within(said)],
        _PARAMETERS,
    )
    return await lists.answer(parts, request, listing, page_size=request.query_params.get("limit"))


def _within(said: Mapping[str, str]) -> list[Condition]:
    """What ``asset``, ``from``, ``to`` and ``at`` say."""
    found: list[Condition] = []
    if "at" in said and ("from" in said or "to" in said):
        raise InvalidQuery("at: names one time, while from and to name a span; send one or the other")
    try:
        if "asset" in said:
            found.append(Compare("asset", Operator.MATCH, str(Asset.parse(said["asset"]))))
    except DomainError as error:
        raise InvalidQuery(f"asset: {error}") from None
    if (time := _time(said, "from")) is not None:
        found.append(balances.since(time))
    if (time := _time(said, "to")) is not None:
        found.append(Compare("createdAt", Operator.LTE, time))
    if (time := _time(said, "at")) is not None:
        found.append(balances.at(time))
    return found


def _time(said: Mapping[str, str], name: str) -> datetime | None:
    text = said.get(name)
    return None if text is None else lists.time(name, text)


def _shown(account: str, row: Row) -> Balance:
    return Balance(
        account_id=account,
        created_at=row["created_at"],
        last_updated_at=row["last_updated_at"],
        currency=row["asset"],
        asset=row["asset"],
        balance=row["amount"],
    )


HANDLERS = [list_balances]
