"""What had happened before anybody looked, the same for the same seed."""

from datetime import UTC, datetime, timedelta
from random import Random

from paymux.sandbox.books import DECIMALS, Books

_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
# So many payments share a second: whoever asks for what is newer than the last one loses the others.
_TIES = 4
_PAUSE = timedelta(seconds=10)

_BENEFICIARIES = ("Harbour Supplies", "Lighthouse Energy", "Dr. Ida Quay")
_METHODS = ("sepa_credit", "card_visa", "card_mastercard", "ach", "carrier_pigeon")
_STATUSES = ("settled", "settled", "settled", "settled", "pending", "failed")


def write(books: Books, seed: int, payments: int) -> None:
    """Open the accounts, and record so many payments."""
    for currency in DECIMALS:
        books.open_account(name=f"Main {currency}", currency=currency, at=_BEGAN)
    for name in _BENEFICIARIES:
        books.open_account(name=name, kind="external", at=_BEGAN)
    add(books, seed, payments, at=_BEGAN)


def add(books: Books, seed: int, payments: int, at: datetime | None = None) -> None:
    """Record so many more payments: from ``at`` on with some sharing a second, or all of them now."""
    random = Random(f"{seed} {len(books.payments)}")  # noqa: S311 - an example, not a secret
    own = [account for account in books.accounts.values() if account.kind == "own"]
    others = [account.id for account in books.accounts.values() if account.kind == "external"]
    for number in range(payments):
        account = random.choice(own)
        comes_in = random.random() < 0.7  # noqa: PLR2004 - more comes in than goes out, or there is no business
        other = random.choice(others)
        books.record(
            kind="payin" if comes_in else "payout",
            amount=random.randrange(1, 100_000),
            currency=account.currency,
            at=at and at + number // _TIES * _PAUSE,
            status=random.choice(_STATUSES),
            method=random.choice(_METHODS),
            source=other if comes_in else account.id,
            destination=account.id if comes_in else other,
            description=f"Invoice {len(books.payments) + 1}",
        )
