"""Walking through a list meets every row that stays as it is, in any order, by pages of any size."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.sandbox import history
from paymux.sandbox.books import Books, Declined
from paymux.sandbox.listing import Asked, page
from paymux.sandbox.menu import Menu, Misbehaviour, Wish

ORDERS = st.sampled_from([frozenset(), {Misbehaviour.NEWEST_FIRST}, {Misbehaviour.UNSTABLE_ORDER}])
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@given(
    order=ORDERS,
    limit=st.integers(1, 20),
    seed=st.integers(0, 99),
    since=st.none() | st.integers(0, 120),
    changes=st.sets(st.integers(1, 40), max_size=5),
)
def test_a_walk_meets_what_stays(
    order: frozenset[Misbehaviour], limit: int, seed: int, since: int | None, changes: set[int]
) -> None:
    """Rows that change while it is under way move in the list, and push no other out of it."""
    books, menu = Books(), Menu(seed)
    history.write(books, seed, 40)
    after = None if since is None else BEGAN + timedelta(seconds=since)
    changing = {f"pay_{number:06}" for number in changes}
    wanted = {p.id for p in books.payments.values() if after is None or p.updated_at > after}
    met: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        got = page(books.payments.values(), Asked(after, cursor, limit), order, menu)
        assert len(got["data"]) <= limit
        met += [row["id"] for row in got["data"]]
        cursor = got["next_cursor"]
        for name in changing:
            books.change(books.payments[name], "disputed")

    assert wanted - changing <= set(met)
    assert len([name for name in met if name not in changing]) == len(wanted - changing)


def test_order_is_the_one_that_was_asked_for() -> None:
    """Earliest change first, or latest; or none, and another one each time."""
    books, menu = Books(), Menu(1)
    history.write(books, 1, 40)

    def ids(*chosen: Misbehaviour) -> list[str]:
        got = page(books.payments.values(), Asked(limit=100), set(chosen), menu)
        return [row["id"] for row in got["data"]]

    assert ids() == sorted(ids()) == ids(Misbehaviour.NEWEST_FIRST)[::-1]
    assert ids(Misbehaviour.UNSTABLE_ORDER) != ids(Misbehaviour.UNSTABLE_ORDER)
    assert sorted(ids(Misbehaviour.UNSTABLE_ORDER)) == ids()


def test_a_cursor_of_somebody_else_has_expired() -> None:
    """Text that is none, and one of before the restart."""
    books, menu = Books(), Menu(1)
    history.write(books, 1, 40)
    mine = page(books.payments.values(), Asked(limit=1), set(), menu)["next_cursor"]
    menu.term += 1

    for cursor in ("nonsense", mine):
        with pytest.raises(Declined) as declined:
            page(books.payments.values(), Asked(cursor=cursor), set(), menu)
        assert declined.value.status == 410


def test_the_same_seed_is_the_same_history_and_the_same_trouble() -> None:
    """Another seed is another one."""
    told = []
    for seed in (5, 5, 6):
        books, menu = Books(), Menu(seed, {Misbehaviour.SLOW: 0.5, Misbehaviour.MALFORMED: 0.5})
        history.write(books, seed, 40)
        told.append((books.payments, books.balances, [menu.choose("GET /", None) for _ in range(40)]))

    assert told[0] == told[1]
    assert all(mine != other for mine, other in zip(told[0], told[2], strict=True))


def test_what_is_ordered_next_comes_before_chance() -> None:
    """In order, for the calls that it is about; the header before all."""
    menu = Menu(1)
    menu.order(Wish(next=[Misbehaviour.SLOW, None], probability={Misbehaviour.PENDING: 1}, on="POST"))

    assert menu.choose("GET /v1/payments", None) == set()
    assert menu.choose("POST /v1/payouts", "drop-after, slow") == {Misbehaviour.DROP_AFTER, Misbehaviour.SLOW}
    assert menu.choose("POST /v1/payouts", None) == {Misbehaviour.SLOW}
    assert menu.choose("POST /v1/payouts", None) == set()
    assert menu.choose("POST /v1/payouts", None) == {Misbehaviour.PENDING}
    with pytest.raises(ValueError, match="levitate"):
        menu.choose("POST /v1/payouts", "levitate")
