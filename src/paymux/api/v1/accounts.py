"""Accounts at providers, ours and others': as they are, as they were, and those that people bring in."""

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get, post

from paymux.api import lists
from paymux.api.errors import NoSuchThing
from paymux.api.fields import created_at, raw_object, recorded, reference_of
from paymux.api.lists import Listing
from paymux.api.openapi.described import described
from paymux.api.paging import CursorText, PageSize
from paymux.api.requests import Injected, Parts, PathText, decoded, read
from paymux.domain import account as domain
from paymux.domain.account import AccountType
from paymux.domain.ids import ConnectorID, account_id, parse_account_id
from paymux.domain.money import Asset
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


class NewAccount(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A description of an account that no connector brings in; ``reference`` says which account."""

    reference: str
    connector_id: str = msgspec.field(name="connectorID")
    created_at: str
    type: AccountType
    default_asset: str | None = None
    account_name: str | None = None
    metadata: dict[str, str] | None = None

    def record(self, connector: ConnectorID, raw: bytes) -> domain.Account:
        """As it goes in. Raises InvalidField."""
        asset = read("defaultAsset", Asset.parse, self.default_asset) if self.default_asset else ""
        return domain.Account(
            reference=reference_of(connector, self.reference),
            type=self.type,
            name=self.account_name or "",
            default_asset=str(asset),
            created_at=created_at(self.created_at),
            metadata=self.metadata or {},
            raw=raw,
        )


class Version(msgspec.Struct, rename="camel", kw_only=True):
    """What an account said from ``since`` until ``until``, which is null for what it says now."""

    since: datetime
    until: datetime | None
    created_at: datetime
    default_asset: str
    account_name: str
    type: str
    metadata: Any
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


@post("/accounts", status_code=200)
@described(body=NewAccount, errors=(404, 409))
async def create_account(parts: Injected, request: Request[Any, Any, Any]) -> dict[str, Account]:
    """Describe an account, new or known, that no connector brings in."""
    body = await decoded(request, NewAccount)
    connector = read("connectorID", ConnectorID.parse, body.connector_id)
    record = body.record(connector, await request.body())
    key = await recorded(parts.recording.account(connector, record))
    row = await accounts.get(parts.database, key)
    if row is None:
        raise NoSuchThing("There is no such account.")
    return {"data": shown(row)}


@get("/accounts/{account:str}/history")
@described(page=Version)
async def account_history(
    account: PathText, parts: Injected, *, page_size: PageSize = None, cursor: CursorText = None
) -> dict[str, Any]:
    """List what an account says and what it said before, newest first."""
    row = await find(parts, account)
    place = parts.cursors.place(f"history {row['key'].hex}", page_size, cursor)
    version = place.row[0] if place.row is not None else None
    found = await accounts.history(parts.database, row["key"], version, place.size + 1, back=place.backwards)
    return parts.cursors.page(place, [_version(one) for one in found], [(one["version"],) for one in found])


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
    return Account(
        id=account_id(connector, row["reference"]),
        reference=row["reference"],
        created_at=row["created_at"],
        connector_id=connector.encode(),
        provider=connector.provider,
        default_currency=row["default_asset"],
        default_asset=row["default_asset"],
        account_name=row["name"],
        type=_shown_type(row["type"]),
        metadata=as_json(row["metadata"]),
        pools=row["pools"],
        raw=raw_object(row["raw"]),
    )


def _version(row: Row) -> Version:
    return Version(
        since=row["since"],
        until=row["until"],
        created_at=row["created_at"],
        default_asset=row["default_asset"],
        account_name=row["name"],
        type=_shown_type(row["type"]),
        metadata=as_json(row["metadata"]),
        raw=raw_object(row["raw"]),
    )


def _shown_type(kind: str) -> str:
    return AccountType.EXTERNAL if kind == AccountType.EXTERNAL_FORMANCE else kind


HANDLERS = [list_accounts, get_account, create_account, account_history]
