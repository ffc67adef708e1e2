"""Payments, each with its reports; their metadata, and those that people bring in."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, get, patch, post

from paymux.api import lists
from paymux.api.errors import InvalidField
from paymux.api.fields import account_of, created_at, raw_object, recorded, reference_of
from paymux.api.lists import Listing
from paymux.api.openapi.described import described
from paymux.api.requests import Injected, Parts, PathText, decoded, read
from paymux.domain import payment as domain
from paymux.domain.errors import shown as cut
from paymux.domain.filter import Compare, Condition, Operator
from paymux.domain.ids import ConnectorID, account_id, parse_payment_id, payment_id
from paymux.domain.money import Amount, Asset
from paymux.domain.payment import PaymentScheme, PaymentStatus, PaymentType
from paymux.events.types import as_json
from paymux.services.recording import NoSuchPayment
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


class NewPayment(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A report about a payment that no connector brings in; ``reference`` says which payment."""

    reference: str
    connector_id: str = msgspec.field(name="connectorID")
    created_at: str
    amount: Annotated[int, msgspec.Meta(ge=0)]
    type: PaymentType
    status: PaymentStatus
    # In either case.
    scheme: str
    asset: str
    source_account_id: str | None = msgspec.field(name="sourceAccountID", default=None)
    destination_account_id: str | None = msgspec.field(name="destinationAccountID", default=None)

    def record(self, connector: ConnectorID, raw: bytes) -> domain.Payment:
        """As it goes in. Raises InvalidField."""
        asset = read("asset", Asset.parse, self.asset)
        return domain.Payment(
            reference=reference_of(connector, self.reference),
            type=self.type,
            status=self.status,
            amount=read("amount", lambda minor: Amount(minor, asset), self.amount),
            scheme=_scheme(self.scheme),
            created_at=created_at(self.created_at),
            source=account_of(connector, "sourceAccountID", self.source_account_id),
            destination=account_of(connector, "destinationAccountID", self.destination_account_id),
            raw=raw,
        )


class MetadataChange(msgspec.Struct, rename="camel", kw_only=True):
    """What somebody said of one key; ``value`` is null where the provider no longer says it."""

    key: str
    value: str | None
    created_at: datetime
    by: Literal["provider", "person"]


# Entries of the history of one payment's metadata.
HISTORY_MAX = 1_000


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
    return {"data": shown(await _find(parts, payment))}


@post("/payments", status_code=200)
@described(body=NewPayment, errors=(404, 409))
async def create_payment(parts: Injected, request: Request[Any, Any, Any]) -> dict[str, Payment]:
    """File a report about a payment, new or known, that no connector brings in."""
    body = await decoded(request, NewPayment)
    connector = read("connectorID", ConnectorID.parse, body.connector_id)
    record = body.record(connector, await request.body())
    key = await recorded(parts.recording.payment(connector, record))
    return {"data": shown(await _rows(parts, key))}


@patch("/payments/{payment:str}/metadata", status_code=204)
@described(body=dict[str, str])
async def update_metadata(payment: PathText, parts: Injected, request: Request[Any, Any, Any]) -> None:
    """Set metadata beside what is there; what is set here stays, whatever the provider says."""
    said = await decoded(request, dict[str, str])
    rows = await _find(parts, payment)
    await parts.recording.annotate(rows[0]["key"], said)


@get("/payments/{payment:str}/metadata/history")
async def metadata_history(payment: PathText, parts: Injected) -> dict[str, list[MetadataChange]]:
    """List what was said of each key of the metadata, by the provider and by people, newest first."""
    rows = await _find(parts, payment)
    found = await payments.metadata_history(parts.database, rows[0]["key"], HISTORY_MAX)
    return {
        "data": [
            MetadataChange(
                key=one["key"],
                value=one["value"],
                created_at=one["created_at"],
                by="person" if one["set_here"] else "provider",
            )
            for one in found
        ]
    }


async def _find(parts: Parts, payment: str) -> list[Row]:
    """The rows of a payment by any identifier it ever had. Raises InvalidId, NoSuchPayment."""
    wanted = parse_payment_id(payment)
    rows = await _rows(parts, key_of(wanted))
    if rows[0]["provider"] != wanted.connector.provider:
        raise NoSuchPayment(NoSuchPayment.__doc__)
    return rows


async def _rows(parts: Parts, key: UUID) -> list[Row]:
    rows = await payments.get(parts.database, key)
    if not rows:
        raise NoSuchPayment(NoSuchPayment.__doc__)
    return rows


def _scheme(text: str) -> PaymentScheme:
    try:
        return PaymentScheme(text.lower())
    except ValueError:
        raise InvalidField("scheme", f"{cut(text)} is none of {', '.join(PaymentScheme)}") from None


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
        raw=raw_object(row["raw"]),
        adjustments=[
            Adjustment(
                reference=one["report_reference"] or str(one["report"]),
                created_at=one["reported_at"],
                status=one["report_status"],
                amount=one["report_amount"],
                raw=raw_object(one["raw"]),
            )
            for one in rows
        ],
        metadata=as_json(row["metadata"]),
    )


HANDLERS = [
    list_payments,
    list_of_connector,
    get_payment,
    create_payment,
    update_metadata,
    metadata_history,
]
