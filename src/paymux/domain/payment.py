"""A payment: money that moved at a provider, as one report of the provider describes it.

A payment is never edited. Each report that says something new is kept as an adjustment, and the
latest one, by the time the provider made it, says where the payment stands. Reports may come late,
twice or out of order: the payment comes out the same.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from paymux.domain.money import Amount


class PaymentType(StrEnum):
    """Which way the money went, seen from us."""

    PAY_IN = "PAY-IN"
    PAYOUT = "PAYOUT"
    TRANSFER = "TRANSFER"
    OTHER = "OTHER"


class PaymentStatus(StrEnum):
    """Where a payment stands."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    REFUNDED = "REFUNDED"
    REFUNDED_FAILURE = "REFUNDED_FAILURE"
    DISPUTE = "DISPUTE"
    DISPUTE_WON = "DISPUTE_WON"
    DISPUTE_LOST = "DISPUTE_LOST"
    OTHER = "OTHER"


class PaymentScheme(StrEnum):
    """The rails it travelled on."""

    UNKNOWN = "unknown"
    OTHER = "other"
    VISA = "visa"
    MASTERCARD = "mastercard"
    AMEX = "amex"
    DINERS = "diners"
    DISCOVER = "discover"
    JCB = "jcb"
    UNIONPAY = "unionpay"
    ALIPAY = "alipay"
    CUP = "cup"
    SEPA_DEBIT = "sepa debit"
    SEPA_CREDIT = "sepa credit"
    SEPA = "sepa"
    APPLE_PAY = "apple pay"
    GOOGLE_PAY = "google pay"
    DOKU = "doku"
    DRAGONPAY = "dragonpay"
    MAESTRO = "maestro"
    MOLPAY = "molpay"
    A2A = "a2a"
    ACH_DEBIT = "ach debit"
    ACH = "ach"
    RTP = "rtp"


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """One report about one payment.

    Without ``report`` and ``reported_at`` it is a snapshot: what the provider says now. It counts
    as new when it differs from the latest report, and the last of several in a page wins. With
    either of them it is an entry in the provider's own history, filed where it belongs.
    """

    reference: str
    type: PaymentType
    status: PaymentStatus
    amount: Amount
    # Gross, as first reported; absent means the amount.
    initial_amount: Amount | None = None
    scheme: PaymentScheme = PaymentScheme.UNKNOWN
    created_at: datetime | None = None
    # References of the accounts at the provider.
    source: str | None = None
    destination: str | None = None
    metadata: dict[str, str] = {}
    raw: str | bytes | None = None
    # The provider's own name for this report; the same name is the same report.
    report: str | None = None
    # When the provider made it.
    reported_at: datetime | None = None
