"""An account at a provider, ours or somebody else's, as the provider describes it.

Payments and balances name accounts by reference. One that nobody has described yet is kept as a
stub of type UNKNOWN, so that a payment never has to wait for its account.
"""

from datetime import datetime
from enum import StrEnum

import msgspec


class AccountType(StrEnum):
    """Whose account it is."""

    INTERNAL = "INTERNAL"  # ours: its balance can be fetched
    EXTERNAL = "EXTERNAL"  # somebody else's: a beneficiary
    EXTERNAL_FORMANCE = "EXTERNAL_FORMANCE"  # external, and made from a bank account kept here
    UNKNOWN = "UNKNOWN"  # named by a payment, not described yet


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector reports about one account. ``reference`` is the provider's own id."""

    reference: str
    type: AccountType
    name: str = ""
    # CODE/decimals, such as EUR/2; empty when the account has no currency of its own.
    default_asset: str = ""
    created_at: datetime | None = None
    metadata: dict[str, str] = {}
    raw: str | bytes | None = None
