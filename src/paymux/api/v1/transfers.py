"""Transfer initiations: orders to move money, and what people decide about them."""

from datetime import datetime
from functools import partial
from typing import Any, Literal
from uuid import UUID, uuid5

import msgspec
from litestar import Request, delete, get, post

from paymux.api import lists
from paymux.api.errors import InvalidField
from paymux.api.lists import Listing
from paymux.api.openapi.described import described
from paymux.api.requests import Injected, Parts, PathText, decoded, read
from paymux.domain.ids import ConnectorID, account_id, parse_account_id, parse_transfer_id, payment_id
from paymux.domain.money import Asset
from paymux.domain.times import NO_TIME, parse_rfc3339
from paymux.domain.transfer import TransferStatus, TransferType, shown
from paymux.events.types import as_json
from paymux.runtime.registry import UnknownConnector
from paymux.services.installing import Ambiguous, NotInstalled
from paymux.services.transferring import ReversalOrder, TransferOrder
from paymux.storage import transfers
from paymux.storage.database import Row
from paymux.storage.transfers import TRANSFERS, UNKNOWN_TRANSFERS, Decision


class RelatedPayment(msgspec.Struct, rename={"payment_id": "paymentID", "created_at": "createdAt"}):
    """A payment that the provider made of it."""

    payment_id: str
    created_at: datetime
    status: str
    error: str


class Change(msgspec.Struct, rename={"id": "adjustmentID", "created_at": "createdAt"}):
    """Something that happened to it, and its status from then on."""

    id: UUID
    created_at: datetime
    status: str
    error: str
    # What a person had to say about it.
    note: str | None = None
    metadata: dict[str, str] | None = None


class TransferInitiation(msgspec.Struct, rename="camel", kw_only=True):
    """An order to move money; ``amount`` is what is left after what was taken back.

    ``status`` and ``error`` are in the tutorial's words, ``state`` is in ours, which tell UNKNOWN apart.
    """

    id: str
    reference: str
    created_at: datetime
    scheduled_at: datetime
    description: str
    source_account_id: str = msgspec.field(name="sourceAccountID")
    destination_account_id: str = msgspec.field(name="destinationAccountID")
    connector_id: str = msgspec.field(name="connectorID")
    provider: str
    type: str
    amount: int
    initial_amount: int
    asset: str
    status: str
    state: str
    error: str
    metadata: Any
    related_payments: list[RelatedPayment] | msgspec.UnsetType = msgspec.UNSET
    related_adjustments: list[Change] | msgspec.UnsetType = msgspec.UNSET


class UnknownOutcome(msgspec.Struct, rename="camel", kw_only=True):
    """An order that nobody can say what became of, and all that is known about it."""

    transfer_initiation: TransferInitiation
    # Of the attempt: what the provider was called with, and what it called it.
    attempt: int
    idempotency_key: str
    handle: str | None
    reversal: str | None
    reversal_amount: int | None
    sends: int
    sent_at: datetime | None
    unknown_since: datetime | None
    reason: str
    look_ups: int
    looked_up_at: datetime | None
    look_up_error: str
    next_look_up_at: datetime | None
    accepted: bool
    # Looking it up has not helped: a person decides.
    needs_person: bool


class NewTransferInitiation(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An order. ``connectorID``, or a ``provider`` that is installed once."""

    reference: str
    type: TransferType
    amount: int
    asset: str
    destinationAccountID: str  # noqa: N815 - as clients send it
    sourceAccountID: str | None = None  # noqa: N815
    connectorID: str | None = None  # noqa: N815
    provider: str | None = None
    description: str = ""
    scheduledAt: str | None = None  # noqa: N815
    validated: bool = False
    metadata: dict[str, str] | None = None


class NewReversal(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An amount to be taken back."""

    reference: str
    amount: int
    asset: str
    description: str = ""
    metadata: dict[str, str] | None = None


class NewStatus(msgspec.Struct, forbid_unknown_fields=True):
    """A decision: VALIDATED or REJECTED."""

    status: str


class Settlement(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """What became of it, as a person knows, and how."""

    outcome: Literal["ACCEPTED", "NOT_SENT"]
    note: str
    payment_reference: str | None = None


_DECISIONS: dict[str, Decision] = {"VALIDATED": "APPROVE", "REJECTED": "REJECT"}


@post("/transfer-initiations", status_code=200)
@described(body=NewTransferInitiation, errors=(404, 409))
async def create(request: Request[Any, Any, Any], parts: Injected) -> dict[str, TransferInitiation]:
    """Order money to be moved; the same order again is the first one."""
    wanted = await decoded(request, NewTransferInitiation)
    order = TransferOrder(
        reference=wanted.reference,
        type=wanted.type,
        amount=wanted.amount,
        asset=read("asset", Asset.parse, wanted.asset),
        source=parse_account_id(wanted.sourceAccountID) if wanted.sourceAccountID else None,
        destination=parse_account_id(wanted.destinationAccountID),
        description=wanted.description,
        metadata=wanted.metadata or {},
        validated=wanted.validated,
        scheduled_at=_time(wanted.scheduledAt),
    )
    installation = await _installation(parts, wanted)
    return {"data": _one(await parts.transferring.create(installation, order))}


@get("/transfer-initiations")
@described(page=TransferInitiation, columns=TRANSFERS.columns)
async def list_transfers(parts: Injected, request: Request[Any, Any, Any]) -> Any:
    """List transfer initiations, newest first unless told otherwise, a page or all of them as lines."""
    rows = partial(transfers.listed, parts.database, TRANSFERS)
    return await lists.answer(parts, request, Listing("transfers", TRANSFERS.columns, rows, _shown))


@get("/transfer-initiations/unknown")
@described(page=UnknownOutcome, columns=UNKNOWN_TRANSFERS.columns)
async def list_unknown(parts: Injected, request: Request[Any, Any, Any]) -> Any:
    """List those that nobody can say what became of, with all that is known."""
    rows = partial(transfers.listed, parts.database, UNKNOWN_TRANSFERS)
    listing = Listing("unknown transfers", UNKNOWN_TRANSFERS.columns, rows, _unknown)
    return await lists.answer(parts, request, listing)


@get("/transfer-initiations/{transfer:str}")
async def get_transfer(transfer: PathText, parts: Injected) -> dict[str, TransferInitiation]:
    """Read one, with what happened to it and the payments that came of it."""
    return {"data": _one(await parts.transferring.get(parse_transfer_id(transfer)))}


@delete("/transfer-initiations/{transfer:str}", status_code=204)
@described(errors=(409,))
async def delete_transfer(transfer: PathText, parts: Injected) -> None:
    """Delete one that waits for validation."""
    await parts.transferring.delete(parse_transfer_id(transfer))


@post("/transfer-initiations/{transfer:str}/status", status_code=204)
@described(body=NewStatus, errors=(409,))
async def decide(transfer: PathText, request: Request[Any, Any, Any], parts: Injected) -> None:
    """Approve or reject one that waits for validation."""
    wanted = parse_transfer_id(transfer)
    status = (await decoded(request, NewStatus)).status
    if status not in _DECISIONS:
        raise InvalidField("status", "must be VALIDATED or REJECTED; the others follow from what happens")
    await parts.transferring.decide(wanted, _DECISIONS[status])


@post("/transfer-initiations/{transfer:str}/retry", status_code=204)
@described(errors=(409,))
async def retry(transfer: PathText, parts: Injected) -> None:
    """Try one again that has failed."""
    await parts.transferring.retry(parse_transfer_id(transfer))


@post("/transfer-initiations/{transfer:str}/reverse", status_code=204)
@described(body=NewReversal, errors=(409,))
async def reverse(transfer: PathText, request: Request[Any, Any, Any], parts: Injected) -> None:
    """Take an amount of it back."""
    wanted = parse_transfer_id(transfer)
    asked = await decoded(request, NewReversal)
    await parts.transferring.reverse(
        wanted,
        ReversalOrder(
            reference=asked.reference,
            amount=asked.amount,
            asset=read("asset", Asset.parse, asked.asset),
            description=asked.description,
            metadata=asked.metadata or {},
        ),
    )


@post("/transfer-initiations/{transfer:str}/settle", status_code=204)
@described(body=Settlement, errors=(409,))
async def settle(transfer: PathText, request: Request[Any, Any, Any], parts: Injected) -> None:
    """Say what became of one whose outcome is unknown."""
    wanted = parse_transfer_id(transfer)
    said = await decoded(request, Settlement)
    if said.payment_reference and said.outcome != "ACCEPTED":
        raise InvalidField("paymentReference", "is for what was ACCEPTED only")
    await parts.transferring.settle(
        wanted, paid=said.outcome == "ACCEPTED", note=said.note, payment=said.payment_reference
    )


async def _installation(parts: Parts, wanted: NewTransferInitiation) -> Row:
    """The installation that an order is for."""
    if wanted.connectorID:
        connector = ConnectorID.parse(wanted.connectorID)
        if wanted.provider and wanted.provider.upper() != connector.provider:
            raise InvalidField("provider", "is another one than that of connectorID")
        field, found = "connectorID", parts.installing.find(connector.provider, connector)
    elif wanted.provider:
        field, found = "provider", parts.installing.find(wanted.provider, None)
    else:
        raise InvalidField("connectorID", "is missing, and so is provider; one of them says who is to pay")
    try:
        return await found
    except (NotInstalled, Ambiguous, UnknownConnector) as error:
        raise InvalidField(field, str(error)) from None


def _time(text: str | None) -> datetime | None:
    time = read("scheduledAt", parse_rfc3339, text) if text else None
    return None if time == NO_TIME else time


class _Happened(msgspec.Struct, rename="camel"):
    number: int
    status: str
    error: str
    note: str | None
    created_at: datetime


class _Paid(msgspec.Struct, rename="camel"):
    reference: str
    type: str
    status: str
    error: str
    created_at: datetime


def _one(row: Row) -> TransferInitiation:
    found = _shown(row)
    connector = ConnectorID(row["provider"], row["installation"])
    payments = msgspec.json.decode(row["payments"], type=list[_Paid])
    found.related_payments = [
        RelatedPayment(payment_id(connector, one.reference, one.type), one.created_at, one.status, one.error)
        for one in payments
    ]
    found.related_adjustments = [
        Change(uuid5(row["key"], str(one.number)), one.created_at, *_standing(one), one.note)
        for one in msgspec.json.decode(row["history"], type=list[_Happened])
    ]
    return found


def _standing(one: _Happened) -> tuple[TransferStatus, str]:
    standing = shown(one.status, one.error)
    return standing.status, standing.error


def _shown(row: Row) -> TransferInitiation:
    connector = ConnectorID(row["provider"], row["installation"])
    standing = shown(row["status"], row["error"])
    return TransferInitiation(
        id=account_id(connector, row["reference"]),
        reference=row["reference"],
        created_at=row["created_at"],
        scheduled_at=row["scheduled_at"] or NO_TIME,
        description=row["description"],
        source_account_id=account_id(connector, row["source_reference"] or ""),
        destination_account_id=account_id(connector, row["destination_reference"]),
        connector_id=connector.encode(),
        provider=connector.provider,
        type=row["type"],
        amount=row["amount"] - row["reversed"],
        initial_amount=row["amount"],
        asset=row["asset"],
        status=standing.status,
        state=row["status"],
        error=standing.error,
        metadata=as_json(row["metadata"]),
    )


def _unknown(row: Row) -> UnknownOutcome:
    return UnknownOutcome(
        transfer_initiation=_shown(row),
        attempt=row["attempt"],
        idempotency_key=row["idempotency_key"],
        handle=row["handle"],
        reversal=row["reversal"],
        reversal_amount=row["reversal_amount"],
        sends=row["sends"],
        sent_at=row["sent_at"],
        unknown_since=row["unknown_at"],
        reason=row["error"],
        look_ups=row["looks"],
        looked_up_at=row["looked_up_at"],
        look_up_error=row["looked_up_error"],
        next_look_up_at=row["due_at"],
        accepted=row["accepted"],
        needs_person=row["stuck"],
    )


HANDLERS = [
    create,
    list_transfers,
    list_unknown,
    get_transfer,
    delete_transfer,
    decide,
    retry,
    reverse,
    settle,
]
