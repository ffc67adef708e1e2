"""The books: every key once, and no money made or lost."""

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.sandbox import history
from paymux.sandbox.app import PENDING
from paymux.sandbox.books import OPENING, Books, Declined, Fate, Order, Reversal

OWN, OTHER = "acc_000001", "ben_000006"


def fresh() -> Books:
    books = Books()
    history.write(books, 1, 0)
    return books


def rent(**more: object) -> Order:
    given = {"source": OWN, "to": OTHER, "amount": 500, "currency": "EUR", "reference": "rent"}
    return Order(**{**given, **more})  # type: ignore[arg-type]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["pay", "reverse", "settle"]), st.integers(0, 3), st.integers(-1, 600),
                  st.sampled_from([None, "settled", "failed"])),
        max_size=30,
    )
)  # fmt: skip
def test_what_left_the_account_is_what_was_paid(steps: list[tuple[str, int, int, str | None]]) -> None:
    """Whatever is ordered, repeated, refused, taken back or fails, the balance is the sum of the payments."""
    books = fresh()
    for verb, key, amount, end in steps:
        fate = Fate(end, PENDING) if end else None
        try:
            if verb == "pay":
                books.pay("payout", rent(amount=amount), f"{key}", fate)
            elif verb == "reverse":
                books.reverse(f"pay_{key + 1:06}", Reversal(amount=amount), f"back {key}", fate)
            else:
                books.settle(hurry=True)
        except Declined:
            continue
    counted = [p for p in books.payments.values() if p.status != "failed"]
    out = sum(p.amount for p in counted if p.source == OWN)
    back = sum(p.amount for p in counted if p.destination == OWN)

    assert books.balances[OWN, "EUR"] == OPENING - out + back
    assert len({p.idempotency_key for p in books.payments.values()}) == len(books.payments)
    for payment in books.payments.values():
        taken = sum(p.amount for p in counted if p.reverses == payment.id)
        assert payment.reversed == taken <= payment.amount
    for order in books.orders().values():
        assert cast("int", order["paid"]) <= len(cast("list[str]", order["keys"]))


def test_a_key_that_comes_with_something_else_is_a_conflict() -> None:
    """Neither answered with the wrong payment nor paid."""
    books = fresh()
    books.pay("payout", rent(), "key")

    for kind, order in ("payout", rent(amount=501)), ("transfer", rent()):
        with pytest.raises(Declined) as declined:
            books.pay(kind, order, "key")
        assert declined.value.status == 409
    assert len(books.payments) == 1


def test_without_a_key_everything_is_paid_again() -> None:
    """As a provider does that was not told."""
    books = fresh()
    for _ in range(2):
        books.pay("payout", rent(), "")

    assert len(books.payments) == 2
