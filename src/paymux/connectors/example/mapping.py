"""From a file's content to a payment."""

from datetime import datetime
from typing import Annotated

import msgspec

from paymux.sdk import (
    Amount,
    Asset,
    Payment,
    PaymentScheme,
    PaymentStatus,
    PaymentType,
    SkipRecord,
    TryAgain,
)

# A file is one payment of a few hundred bytes; one beyond this is something else, of any size.
SIZE_MAX = 1024 * 1024


class JsonPayment(msgspec.Struct):
    """A payment as the file has it."""

    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    reference: Annotated[str, msgspec.Meta(max_length=2000, pattern="^[^\0]+$")]
    amount: int
    asset: str
    type: PaymentType
    status: PaymentStatus
    scheme: PaymentScheme = PaymentScheme.UNKNOWN


def payment(name: str, content: bytes, *, settled: bool) -> Payment:
    """Read a file's content; ``settled`` when there is no more to come.

    Raises:
        TryAgain: it ends in the middle, and is not settled.
        SkipRecord: it is no payment; the reason names the file and the field.
    """
    if len(content) > SIZE_MAX:
        raise SkipRecord(f"{name}: larger than the {SIZE_MAX} bytes of any payment", raw=content)
    try:
        found = msgspec.json.decode(content, type=JsonPayment)
        amount = Amount.from_minor(found.amount, Asset.parse(found.asset))
    except (ValueError, RecursionError) as error:  # of msgspec or of a rule of the domain; nested too deep
        # A number that is cut off looks wrong rather than short.
        if not settled and ("truncated" in str(error) or content[-1:] in b"+-.eE"):
            raise TryAgain(f"{name}: {error}; waiting for the rest of it") from None
        raise SkipRecord(f"{name}: {error}", raw=content) from None
    return Payment(
        reference=found.reference,
        type=found.type,
        status=found.status,
        amount=amount,
        scheme=found.scheme,
        created_at=found.created_at,
        raw=content,
    )
