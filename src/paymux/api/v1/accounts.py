"""Accounts at providers, ours and others'."""

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get

from paymux.api import lists
from paymux.api.errors import NoSuchThing
from paymux.api.lists import Listing
from paymux.api.openapi.described import described
from paymux.api.requests import Injected, Parts, PathText
from paymux.domain.account import AccountType
from paymux.domain.ids import ConnectorID, account_id, parse_account_id
from paymux.events.types import as_json
from paymux.storage import accounts
from paymux.storage.accounts import ACCOUNTS
from paymux.storage.database import Row
from paymux.storage.listing import key_of


class Account(msgspec.Struct, rename="camel", kw_only=True):
    """An account as its provider describes it; one that was only named so far is of type UNKNOWN."""

    id: str
    reference: str
    created_at: datetime
    connector_id: str = msgspec.field(name="connectorID")
    provider: str
    # The same as the asset, for older clients.
    default_currency: str
    default_asset: str
    account_name: str
    type: str
    metadata: Any
    pools: list[UUID]
    raw: Any


@get("/accounts")
@described(page=Account, columns=ACCOUNTS.columns)
async def list_accounts(parts: Injected, request: Request[Any, Any, Any]) -> Any:
    """List accounts, newest first unless told otherwise, a page or all of them as lines."""
    listing = Listing("accounts", ACCOUNTS.columns, partial(accounts.listed, parts.database), shown)
    return await lists.answer(parts, request, listing)


@get("/accounts/{account:str}")
async def get_account(account: PathText, parts: Injected) -> dict[str, Account]:
    """Read one account."""
    return {"data": shown(await find(parts, account))}


async def find(parts: Parts, account: str) -> Row:
    """The row of an account by its identifier.

    Raises:
        InvalidId, NoSuchThing: as they say.
    """
    wanted = parse_account_id(account)
    row = await accounts.get(parts.database, key_of(wanted))
    if row is None or row["provider"] != wanted.connector.provider:
        raise NoSuchThing("There is no such account.")
    return row


def shown(row: Row) -> Account:
    """An account from its row."""
    connector = ConnectorID(row["provider"], row["installation"])
    kind = row["type"]
    return Account(
        id=account_id(connector, row["reference"]),
        reference=row["reference"],
        created_at=row["created_at"],
        connector_id=connector.encode(),
        provider=connector.provider,
        default_currency=row["default_asset"],
        default_asset=row["default_asset"],
        account_name=row["name"],
        type=AccountType.EXTERNAL if kind == AccountType.EXTERNAL_FORMANCE else kind,
        metadata=as_json(row["metadata"]),
        pools=row["pools"],
        raw=as_json(row["raw"]),
    )


HANDLERS = [list_accounts, get_account]
