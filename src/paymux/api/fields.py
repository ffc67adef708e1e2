"""Fields that several nouns have: those of bodies read and held to their rules, a raw form shown."""

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from paymux.api.errors import InvalidField
from paymux.api.requests import read
from paymux.domain.ids import ID_CHARS_MAX, ConnectorID, parse_account_id, payment_id
from paymux.domain.payment import PaymentType
from paymux.domain.times import NO_TIME, parse_rfc3339
from paymux.events.types import as_json
from paymux.services.recording import CannotRecord

# A sender's clock may be ahead of ours.
SKEW_MAX = timedelta(minutes=5)
# Characters. A pool's name has an index entry of its own, which takes some 2,700 bytes.
NAME_MAX = 500
# No more than a bigint holds.
_DIGITS_MAX = 18
# What records call otherwise than clients do.
_SENT_AS = {
    "name": "accountName",
    "default_asset": "defaultAsset",
    "source": "sourceAccountID",
    "destination": "destinationAccountID",
}


def created_at(text: str) -> datetime:
    """When something happened: a time that is not in the future. Raises InvalidField."""
    time = read("createdAt", parse_rfc3339, text)
    if time == NO_TIME:
        raise InvalidField("createdAt", "is the time that means none")
    if time > datetime.now(UTC) + SKEW_MAX:
        raise InvalidField("createdAt", "is in the future")
    return time


def reference_of(connector: ConnectorID, text: str) -> str:
    """A reference that an identifier can be made of. Raises InvalidField."""
    if len(payment_id(connector, text, PaymentType.TRANSFER)) > ID_CHARS_MAX:
        raise InvalidField("reference", "is too long for an identifier")
    return text


def account_of(connector: ConnectorID, field: str, text: str | None) -> str | None:
    """The reference of an account by its identifier; None where there is none. Raises InvalidField."""
    if not text:
        return None
    wanted = read(field, parse_account_id, text)
    if wanted.connector.reference != connector.reference:
        raise InvalidField(field, "is of another installation than connectorID")
    return wanted.reference


def name_of(text: str) -> str:
    """What people call something. Raises InvalidField."""
    if not text.strip() or len(text) > NAME_MAX:
        raise InvalidField("name", f"must have 1 to {NAME_MAX} characters, not all of them spaces")
    return text


def row_number(text: str) -> int | None:
    """The number of a row, as the database gives them; None for what can be none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else None


async def recorded(recording: Awaitable[UUID]) -> UUID:
    """The key of what was recorded. Raises InvalidField for a rule of records that it breaks."""
    try:
        return await recording
    except CannotRecord as error:
        raise InvalidField(_SENT_AS.get(error.field, error.field), error.why) from None


def raw_object(text: str | None) -> Any:
    """A raw form as it is shown: an object, for clients take nothing else; another becomes ``{"raw": …}``."""
    found = as_json(text)
    is_object = isinstance(found, msgspec.Raw) and text is not None and text.startswith("{")
    return found if found is None or is_object else {"raw": found}
