"""Payments, each with its reports."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from litestar import get

from paymux.api.errors import InvalidQuery, NoSuchThing
from paymux.api.paging import CursorText, Filter, PageSize, Place
from paymux.api.requests import Injected, Parts, PathText
from paymux.domain.ids import ConnectorID, account_id, parse_payment_id, payment_id, row_key
from paymux.events.types import as_json
from paymux.storage import installations, payments
from paymux.storage.database import Row
from paymux.storage.payments import Where

# Columns that can be asked for; connectorID is looked up first.
_FILTERS = ("reference", "status", "type", "asset")


class Adjustment(msgspec.Struct, rename="camel", kw_only=True):
    """One report about a payment."""

    reference: str
    created_at: datetime
    status: str
    amount: int
    raw: Any


class Payment(msgspec.Struct, rename="camel", kw_only=True):
    """A payment as its latest report has it."""

    id: str
    reference: str
    source_account_id: str = msgspec.field(name="sourceAccountID")
    destination_account_id: str = msgspec.field(name="destinationAccountID")
    type: str
    provider: str
    connector_id: str = msgspec.field(name="connectorID")
    status: str
    amount: int
    initial_amount: int
    scheme: str
    asset: str
    created_at: datetime
    raw: Any
    adjustments: list[Adjustment]
    metadata: Any


@get("/payments")
async def list_payments(
    parts: Injected, page_size: PageSize = None, cursor: CursorText = None, match: Filter = None
) -> dict[str, Any]:
    """List payments, newest first, filtered by ``query={"$match": {"status": "SUCCEEDED"}}``."""
    place = parts.cursors.place("payments", page_size, cursor, match)
    return await _list(parts, await _where(parts, place.query), place)


@get("/connectors/{provider:str}")
async def list_of_connector(
    provider: PathText, parts: Injected, page_size: PageSize = None, cursor: CursorText = None
) -> dict[str, Any]:
    """List the payments of the only installation of a connector."""
    row = await parts.installing.find(provider, None)
    place = parts.cursors.place(f"payments {row['uuid']}", page_size, cursor)
    return await _list(parts, Where(installation=row["id"]), place)


@get("/payments/{payment:str}")
async def get_payment(payment: PathText, parts: Injected) -> dict[str, Payment]:
    """Read one payment, by any identifier it ever had."""
    wanted = parse_payment_id(payment)
    rows = await payments.get(
        parts.database, row_key(wanted.connector.reference, "payment", wanted.reference)
    )
    if not rows or rows[0]["provider"] != wanted.connector.provider:
        raise NoSuchThing("There is no such payment.")
    return {"data": _payment(rows)}


async def _list(parts: Parts, where: Where | None, place: Place) -> dict[str, Any]:
    found = (
        await payments.listed(
            parts.database, where, place.row, backwards=place.backwards, limit=place.size + 1
        )
        if where is not None
        else []
    )
    keys = [(rows[0]["created_at"], rows[0]["key"]) for rows in found]
    return parts.cursors.page(place, [_payment(rows) for rows in found], keys)


async def _where(parts: Parts, query: str) -> Where | None:
    """Read ``$match``; None when it names an installation that does not exist."""
    if not query:
        return Where()
    allowed = ", ".join(("connectorID", *_FILTERS))
    try:
        match = msgspec.json.decode(query, type=dict[str, dict[str, str]])
    except (msgspec.DecodeError, RecursionError):
        raise InvalidQuery('query: must be JSON such as {"$match": {"status": "SUCCEEDED"}}') from None
    wanted = match.get("$match", {})
    if set(match) != {"$match"} or not set(wanted) <= {"connectorID", *_FILTERS} or not wanted:
        raise InvalidQuery(f"query: $match on {allowed} is what can be asked for")
    if any("\0" in value for value in wanted.values()):
        raise InvalidQuery("query: holds a NUL character, which no text here can hold")
    named = wanted.pop("connectorID", None)
    where = msgspec.convert(wanted, Where)
    if named is None:
        return where
    connector = ConnectorID.parse(named)
    row = await installations.get(parts.database, connector.reference)
    if row is None or row["provider"] != connector.provider:
        return None
    return msgspec.structs.replace(where, installation=row["id"])


def _payment(rows: Sequence[Row]) -> Payment:
    row = rows[0]
    connector = ConnectorID(row["provider"], row["installation"])
    return Payment(
        id=payment_id(connector, row["reference"], row["first_type"]),
        reference=row["reference"],
        source_account_id=account_id(connector, row["source"]) if row["source"] else "",
        destination_account_id=account_id(connector, row["destination"]) if row["destination"] else "",
        type=row["type"],
        provider=connector.provider,
        connector_id=connector.encode(),
        status=row["status"],
        amount=row["amount"],
        initial_amount=row["initial_amount"],
        scheme=row["scheme"],
        asset=row["asset"],
        created_at=row["created_at"],
        raw=as_json(row["raw"]),
        adjustments=[
            Adjustment(
                reference=one["report_reference"] or str(one["report"]),
                created_at=one["reported_at"],
                status=one["report_status"],
                amount=one["report_amount"],
                raw=as_json(one["raw"]),
            )
            for one in rows
        ],
        metadata=as_json(row["metadata"]),
    )


HANDLERS = [list_payments, list_of_connector, get_payment]
