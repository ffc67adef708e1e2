"""From a file to a payment."""

from datetime import datetime

import msgspec

from paymux.sdk import (
    Amount,
    Asset,
    DomainError,
    Payment,
    PaymentScheme,
    PaymentStatus,
    PaymentType,
    SkipRecord,
)


class Truncated(ValueError):
    """The file ends in the middle."""


class JsonPayment(msgspec.Struct):
    """A payment as the file has it."""

    created_at: datetime
    reference: str
    amount: int
    asset: str
    type: PaymentType
    status: PaymentStatus
    scheme: PaymentScheme = PaymentScheme.UNKNOWN


def payment(file: str, content: bytes) -> Payment:
    """Read a file's content.

    Raises:
        Truncated: there is more to come, perhaps.
        SkipRecord: it is no payment; the reason names the file and the field.
    """
    if not content.strip():
        raise Truncated(f"{file}: the file is empty.")
    try:
        found = msgspec.json.decode(content, type=JsonPayment)
        return Payment(
            reference=found.reference,
            type=found.type,
            status=found.status,
            amount=Amount.from_minor(found.amount, Asset.parse(found.asset)),
            scheme=found.scheme,
            created_at=found.created_at,
            raw=content,
        )
    except msgspec.ValidationError as error:
        raise SkipRecord(f"{file}: {error}", raw=content) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if "truncated" in str(error):
            raise Truncated(f"{file}: {error}.") from None
        raise SkipRecord(f"{file}: {error}", raw=content) from None
    except DomainError as error:
        raise SkipRecord(f"{file}: {error}", raw=content) from None
