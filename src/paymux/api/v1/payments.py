"""Payments, each with its reports."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from litestar import Request, get

from paymux.api import lists
from paymux.api.errors import NoSuchThing
from paymux.api.lists import Listing
from paymux.api.openapi.described import described
from paymux.api.requests import Injected, Parts, PathText
from paymux.domain.filter import Compare, Condition, Operator
from paymux.domain.ids import ConnectorID, account_id, parse_payment_id, payment_id
from paymux.events.types import as_json
from paymux.storage import payments
from paymux.storage.database import Row
from paymux.storage.listing import key_of
from paymux.storage.payments import PAYMENTS


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
@described(page=Payment, columns=PAYMENTS.columns)
async def list_payments(parts: Injected, request: Request[Any, Any, Any]) -> Any:
    """List payments, newest first unless told otherwise, a page or all of them as lines."""
    return await lists.answer(parts, request, _listing(parts, "payments"))


@get("/connectors/{provider:str}")
@described(page=Payment, columns=PAYMENTS.columns)
async def list_of_connector(provider: PathText, parts: Injected, request: Request[Any, Any, Any]) -> Any:
    """List the payments of the only installation of a connector."""
    row = await parts.installing.find(provider, None)
    within = Compare("connectorID", Operator.MATCH, ConnectorID(row["provider"], row["uuid"]))
    return await lists.answer(parts, request, _listing(parts, f"payments {row['uuid']}", within))


@get("/payments/{payment:str}")
async def get_payment(payment: PathText, parts: Injected) -> dict[str, Payment]:
    """Read one payment, by any identifier it ever had."""
    wanted = parse_payment_id(payment)
    rows = await payments.get(parts.database, key_of(wanted))
    if not rows or rows[0]["provider"] != wanted.connector.provider:
        raise NoSuchThing("There is no such payment.")
    return {"data": shown(rows)}


def _listing(parts: Parts, scope: str, *within: Condition) -> Listing:
    return Listing(scope, PAYMENTS.columns, partial(payments.listed, parts.database), shown, lambda _: within)


def shown(rows: Sequence[Row]) -> Payment:
    """A payment from its rows, one a report, newest first."""
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
