"""A transfer initiation: an order to move money."""

from enum import StrEnum


class TransferType(StrEnum):
    """Where the money goes."""

    TRANSFER = "TRANSFER"  # between our own accounts
    PAYOUT = "PAYOUT"  # to somebody else's
