"""Bank accounts that are kept here and made known to providers; of their numbers a part is shown at most."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get, patch, post
from msgspec import UNSET, UnsetType

from paymux.api import lists
from paymux.api.errors import InvalidField
from paymux.api.fields import name_of
from paymux.api.lists import Listing
from paymux.api.openapi.described import described
from paymux.api.requests import Injected, Parts, PathText, decoded, read
from paymux.domain.bank_account import Numbers, read_account_number, read_bic, read_country, read_iban
from paymux.domain.ids import ConnectorID, account_id, parse_uuid
from paymux.events.types import as_json
from paymux.services.banking import BankAccountToKeep, NoSuchBankAccount
from paymux.storage import bank_accounts
from paymux.storage.bank_accounts import BANK_ACCOUNTS
from paymux.storage.database import Row


class RelatedAccount(msgspec.Struct, rename="camel", kw_only=True):
    """The account that a provider has made of a bank account."""

    id: UUID
    created_at: datetime
    provider: str
    connector_id: str = msgspec.field(name="connectorID")
    account_id: str = msgspec.field(name="accountID")


class BankAccount(msgspec.Struct, rename="camel", kw_only=True):
    """A bank account. ``connector_id``, ``provider`` and ``account_id`` are of the first related account."""

    id: UUID
    name: str
    created_at: datetime
    country: str
    iban: str | UnsetType = UNSET
    account_number: str | UnsetType = UNSET
    swift_bic_code: str | UnsetType = UNSET
    metadata: Any
    related_accounts: list[RelatedAccount]
    connector_id: str = msgspec.field(name="connectorID")
    provider: str | UnsetType = UNSET
    account_id: str | UnsetType = msgspec.field(name="accountID", default=UNSET)


class NewBankAccount(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What makes a bank account: an IBAN, an account number, or both. With a connectorID it is forwarded."""

    name: str
    country: str
    iban: str | None = None
    account_number: str | None = None
    swift_bic_code: str | None = None
    metadata: dict[str, str] | None = None
    connector_id: str | None = msgspec.field(name="connectorID", default=None)


class MoreMetadata(msgspec.Struct, forbid_unknown_fields=True):
    """Text by key, to be added."""

    metadata: dict[str, str]


class Destination(msgspec.Struct, rename={"connector_id": "connectorID"}, forbid_unknown_fields=True):
    """Where a bank account is to be known."""

    connector_id: str


@post("/bank-accounts", status_code=200)
@described(body=NewBankAccount, errors=(404, 409, 502))
async def create(request: Request[Any, Any, Any], parts: Injected) -> dict[str, BankAccount]:
    """Keep a bank account, and forward it when there is a connectorID.

    When it is kept and cannot be forwarded, `details` of the error have its id as `bankAccountID`.
    """
    wanted = await decoded(request, NewBankAccount)
    name = name_of(wanted.name)
    numbers = Numbers(
        _optional("iban", read_iban, wanted.iban),
        _optional("accountNumber", read_account_number, wanted.account_number),
    )
    if numbers == Numbers():
        raise InvalidField("iban", "is missing, and so is accountNumber; one of them at least is needed")
    keep = BankAccountToKeep(
        name=name,
        country=read("country", read_country, wanted.country),
        numbers=numbers,
        bic=_optional("swiftBicCode", read_bic, wanted.swift_bic_code),
        metadata=wanted.metadata or {},
    )
    there = wanted.connector_id and await parts.forwarding.able(ConnectorID.parse(wanted.connector_id))
    new = await parts.banking.create(keep)
    if there:
        await parts.forwarding.forward(new, there)
    return {"data": await _read(parts, new)}


@get("/bank-accounts")
@described(page=BankAccount, columns=BANK_ACCOUNTS.columns)
async def list_bank_accounts(parts: Injected, request: Request[Any, Any, Any]) -> Any:
    """List bank accounts, newest first unless told otherwise, a page or all of them as lines."""
    listed = partial(bank_accounts.listed, parts.database)
    return await lists.answer(parts, request, Listing("bank-accounts", BANK_ACCOUNTS.columns, listed, _shown))


@get("/bank-accounts/{bank_account:str}")
async def get_bank_account(bank_account: PathText, parts: Injected) -> dict[str, BankAccount]:
    """Read one bank account."""
    return {"data": await _read(parts, _id(bank_account))}


@post("/bank-accounts/{bank_account:str}/forward", status_code=200)
@described(body=Destination, errors=(409, 502))
async def forward(
    bank_account: PathText, request: Request[Any, Any, Any], parts: Injected
) -> dict[str, BankAccount]:
    """Make a bank account known to the provider of an installation, once.

    When the answer was lost, forwarding it again asks for the same under the same idempotency key.
    """
    wanted = _id(bank_account)
    to = ConnectorID.parse((await decoded(request, Destination)).connector_id)
    await parts.forwarding.forward(wanted, await parts.forwarding.able(to))
    return {"data": await _read(parts, wanted)}


@patch("/bank-accounts/{bank_account:str}/metadata", status_code=204)
@described(body=MoreMetadata)
async def describe(bank_account: PathText, request: Request[Any, Any, Any], parts: Injected) -> None:
    """Add metadata to a bank account.

    A key that is there already gets the new value; none is taken away.
    """
    wanted = await decoded(request, MoreMetadata)
    if not wanted.metadata:
        raise InvalidField("metadata", "must have one key at least")
    await parts.banking.describe(_id(bank_account), wanted.metadata)


def _optional(field: str, how: Callable[[str], str], value: str | None) -> str:
    return read(field, how, value) if value else ""


def _id(text: str) -> UUID:
    return parse_uuid(text, "a bank account")


async def _read(parts: Parts, bank_account: UUID) -> BankAccount:
    rows = await bank_accounts.get(parts.database, bank_account)
    if not rows:
        raise NoSuchBankAccount(NoSuchBankAccount.__doc__)
    return _shown(rows)


def _shown(rows: Sequence[Row]) -> BankAccount:
    row = rows[0]
    related = [_related(one) for one in rows if one["account"] is not None]
    first = related[0] if related else None
    return BankAccount(
        id=row["id"],
        name=row["name"],
        created_at=row["created_at"],
        country=row["country"],
        iban=row["shown_iban"] or UNSET,
        account_number=row["shown_account_number"] or UNSET,
        swift_bic_code=row["bic"] or UNSET,
        metadata=as_json(row["metadata"]),
        related_accounts=related,
        connector_id=first.connector_id if first else "",
        provider=first.provider if first else UNSET,
        account_id=first.account_id if first else UNSET,
    )


def _related(row: Row) -> RelatedAccount:
    connector = ConnectorID(row["provider"], row["installation"])
    return RelatedAccount(
        id=row["forward"],
        created_at=row["related_at"],
        provider=connector.provider,
        connector_id=connector.encode(),
        account_id=account_id(connector, row["account"]),
    )


HANDLERS = [create, list_bank_accounts, get_bank_account, forward, describe]
