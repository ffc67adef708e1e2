"""Orders to move money: making them, deciding on them, and the attempts to have them done.

Verbs raise DatabaseError with a sentence for whoever asked, by code: REFUSED (as operators.py has it) when
the order does not allow it, WRONG for a value, MISSING when there is no such order.
"""

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from paymux.domain.filter import Kind
from paymux.domain.transfer import UNKNOWN, TransferStatus, TransferType
from paymux.storage import listing
from paymux.storage.database import Connection, Database, Row
from paymux.storage.listing import Asked, Column, Noun, Place
from paymux.storage.statements import statements
from paymux.storage.tasks import Job, job_of

_SQL = statements("transfers")

# Raised by functions/transfers.sql and transfer_attempts.sql.
WRONG = "PX004"
MISSING = "PX005"

Decision = Literal["APPROVE", "REJECT"]

_SHOWN = (
    "CASE r.status WHEN 'UNKNOWN' THEN 'PROCESSING' WHEN 'REVERSE_UNKNOWN' THEN 'REVERSE_PROCESSING'"
    " ELSE r.status END"
)
_COLUMNS = {
    "id": Column(Kind.TRANSFER, "r.key"),
    "reference": Column(Kind.REFERENCE, "r.reference"),
    "connectorID": Column(Kind.CONNECTOR, "r.installation"),
    "provider": Column(Kind.PROVIDER, "r.installation"),
    "type": Column(Kind.WORD, "r.type", tuple(TransferType)),
    # As the tutorial's interface shows it, which has no word for not knowing.
    "status": Column(Kind.WORD, _SHOWN, tuple(one for one in TransferStatus if one not in UNKNOWN)),
    "state": Column(Kind.WORD, "r.status", tuple(TransferStatus)),
    "asset": Column(Kind.ASSET, "r.asset"),
    "amount": Column(Kind.NUMBER, "(r.amount - r.reversed)"),
    "initialAmount": Column(Kind.NUMBER, "r.amount"),
    "sourceAccountID": Column(Kind.ACCOUNT, "r.source", optional=True),
    "destinationAccountID": Column(Kind.ACCOUNT, "r.destination"),
    # As clients of the tutorial's service spell the two.
    "source_account_id": Column(Kind.ACCOUNT, "r.source", optional=True),
    "destination_account_id": Column(Kind.ACCOUNT, "r.destination"),
    "createdAt": Column(Kind.TIME, "r.created_at"),
    "metadata": Column(Kind.METADATA, "r.metadata"),
}
TRANSFERS = Noun("transfer", _COLUMNS, _SQL["list"])
UNKNOWN_TRANSFERS = Noun("transfer", _COLUMNS, _SQL["unknown"])


class NewTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it is stored; ``source`` is the account's key and reference, or None."""

    key: UUID
    installation: int
    reference: str
    type: TransferType
    description: str
    amount: int
    asset: str
    source: tuple[UUID, str] | None
    destination: tuple[UUID, str]
    metadata: str | None
    validated: bool
    scheduled_at: datetime | None


class NewReversal(msgspec.Struct, frozen=True, kw_only=True):
    """An amount to be taken back, as it is stored."""

    key: UUID
    reference: str
    description: str
    amount: int
    metadata: str | None


class Attempt(msgspec.Struct, frozen=True):
    """What is to be done now: the order's attempt, held under a token. ``what``: SEND or LOOK."""

    what: str
    token: int
    installation: int
    revision: int
    attempt: int


class Paid(msgspec.Struct, frozen=True):
    """A payment that came of an attempt; ``status`` is an order's."""

    key: UUID
    reference: str
    type: str
    status: TransferStatus


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt. ``state``: SUCCEEDED, FAILED; or READY, ACCEPTED, UNKNOWN for ``delay``."""

    state: str
    error: str = ""
    delay: timedelta | None = None
    handle: str | None = None
    stuck: bool = False
    refused: str | None = None
    paid: Paid | None = None


def metadata_of(text: str | None) -> dict[str, str]:
    """Metadata as it is stored."""
    return msgspec.json.decode(text, type=dict[str, str]) if text else {}


async def listed(db: Database, noun: Noun, asked: Asked, limit: int) -> tuple[list[Row], list[Place]]:
    """Orders, a page of them. Raises TooSlow."""
    return await listing.listed(db, noun, asked, limit)


async def get(db: Database | Connection, key: UUID) -> Row | None:
    """One order, with its history and payments as JSON."""
    return await db.fetchrow(_SQL["get"], key)


async def account_types(db: Database, installation: int, keys: list[UUID]) -> dict[UUID, str]:
    """Of these accounts of an installation, those that there are."""
    return {row["key"]: row["type"] for row in await db.fetch(_SQL["accounts"], keys, installation)}


async def create(db: Connection, new: NewTransfer, attempt_key: str) -> tuple[bool, list[Job]]:
    """Make an order; False when there is one of its reference. Hand the jobs to the engine."""
    source = new.source or (None, None)
    rows = await db.fetch(
        _SQL["create"], new.key, new.installation, new.reference, new.type, new.description, new.amount,
        new.asset, *source, *new.destination, new.metadata, new.validated, new.scheduled_at, attempt_key,
    )  # fmt: skip
    return rows[0]["fresh"], [job_of(row) for row in rows if row["task"] is not None]


async def judge(
    db: Connection, key: UUID, decision: Decision, attempt_key: str, note: str | None
) -> list[Job]:
    """Approve or reject an order that waits for it."""
    return [job_of(row) for row in await db.fetch(_SQL["judge"], key, decision, attempt_key, note)]


async def retry(db: Connection, key: UUID, number: int, attempt_key: str, note: str | None) -> list[Job]:
    """Try a failed order again, as its attempt of this number."""
    return [job_of(row) for row in await db.fetch(_SQL["retry"], key, number, attempt_key, note)]


async def reverse(db: Connection, key: UUID, number: int, attempt_key: str, new: NewReversal) -> list[Job]:
    """Take an amount of an order back, by its attempt of this number."""
    rows = await db.fetch(
        _SQL["reverse"], key, number, attempt_key, new.key, new.reference, new.description, new.amount,
        new.metadata,
    )  # fmt: skip
    return [job_of(row) for row in rows]


async def delete(db: Connection, key: UUID) -> None:
    """Delete an order that waits for validation."""
    await db.execute(_SQL["delete"], key)


async def settle(db: Connection, key: UUID, *, paid: bool, note: str | None, payment: Paid | None) -> None:
    """Say what became of an order that is unknown."""
    named = (payment.key, payment.reference, payment.type) if payment else (None, None, None)
    await db.execute(_SQL["settle"], key, paid, note, *named)


async def begin(db: Database | Connection, job: int, key: UUID, generation: int) -> Attempt | None:
    """Begin what a job stands for; it is on disk when this returns, and only then may the call go out."""
    row = await db.fetchrow(_SQL["begin"], job, key, generation)
    return Attempt(*row.values()) if row else None


async def attempt(db: Connection, key: UUID, number: int) -> Row | None:
    """All that is known of an attempt and its order."""
    return await db.fetchrow(_SQL["attempt"], key, number)


async def finish(db: Connection, key: UUID, token: int, found: Found) -> list[Job]:
    """Write down what became of it. Raises DatabaseError with code SUPERSEDED when somebody else is at it."""
    paid = found.paid
    named = (paid.key, paid.reference, paid.type, paid.status) if paid else (None, None, None, None)
    rows = await db.fetch(
        _SQL["finish"], key, token, found.state, found.error, found.delay, found.handle, found.stuck,
        found.refused, *named,
    )  # fmt: skip
    return [job_of(row) for row in rows]


async def link_late(db: Connection, key: UUID, number: int, paid: Paid) -> None:
    """Keep a payment of an attempt that somebody else is at, or has settled."""
    await db.execute(_SQL["link_late"], key, number, paid.key, paid.reference, paid.type, paid.status)


async def neglected(db: Database, since: timedelta) -> list[Row]:
    """Orders that should be in somebody's hands for so long: id, generation, job."""
    return await db.fetch(_SQL["neglected"], since)


async def recover(db: Connection, key: UUID, generation: int) -> list[Job]:
    """Let somebody else take over an order whose job is gone."""
    return [Job(key, generation)] if await db.fetchval(_SQL["recover"], key, generation) else []


async def at_the_provider(db: Connection, installation: int) -> list[str]:
    """References of orders that may be at the provider; none can come to it while the transaction lasts."""
    return [row[0] for row in await db.fetch(_SQL["at_the_provider"], installation)]


async def empty(db: Database, installation: int, rows: int) -> bool:
    """Delete some of the orders of an installation that is removed; False when none is left."""
    return bool(await db.fetchval(_SQL["empty"], installation, rows))
