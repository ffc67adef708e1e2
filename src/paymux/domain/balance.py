"""How much an account held at one moment, in one asset.

Balances are kept as intervals: the same amount seen again extends the interval it stands in,
another amount opens a new one.
"""

from datetime import datetime

import msgspec

from paymux.domain.money import Amount


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector reports about one account's holding of one asset."""

    # The account's reference at the provider.
    account: str
    amount: Amount
    # When the provider says this was so; absent means now.
    at: datetime | None = None
