import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.domain.account import Account, AccountType
from paymux.domain.aside import SetAside
from paymux.domain.balance import Balance
from paymux.domain.money import Amount, Asset
from paymux.domain.payment import Payment, PaymentStatus, PaymentType
from paymux.ingestion.page import RAWS_MAX, RECORDS_MAX, Page, PageTooLarge, columns, count, hashes
from paymux.ingestion.rows import RAW_MAX

HERE = UUID("93b44ff6-d939-473d-ba59-c754c7cd8777")
EUR = Asset.parse("EUR/2")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY, REFERENCE, STATUS, REPORT = 0, 1, 3, 14


def payment(reference: str = "p", status: str = "PENDING", **changes: Any) -> Payment:
    known: dict[str, Any] = {"type": PaymentType.PAY_IN, "amount": Amount(100, EUR)}
    return Payment(reference=reference, status=PaymentStatus(status), **known | changes)


def balance(minor: int, at: datetime | None = None, account: str = "acc") -> Balance:
    return Balance(account=account, amount=Amount(minor, EUR), at=at)


def statuses(page: Page) -> list[str]:
    return list(page.payments[STATUS])


def test_of_several_snapshots_the_last_wins() -> None:
    """A page that names a payment twice describes it once."""
    page = Page(HERE, payments=[payment(), payment("q"), payment(status="FAILED")])

    assert dict(zip(page.payments[REFERENCE], page.payments[STATUS], strict=True)) == {
        "p": "FAILED",
        "q": "PENDING",
    }
    assert count(page.payments) == 2
    assert page.seen == 3


def test_reports_of_a_payment_are_all_kept() -> None:
    """They are its history: by name or by time, each is one."""
    named = [payment(status=status, report=status) for status in ("PENDING", "SUCCEEDED")]
    timed = [payment(status="PENDING", reported_at=NOON), payment(status="PENDING", reported_at=NOON + HOUR)]

    assert count(Page(HERE, payments=[*named, *timed, *named, *timed]).payments) == 4


def test_of_a_report_told_twice_the_first_counts() -> None:
    """As it does when the second comes in a page of its own: a report that is filed is filed."""
    page = Page(HERE, payments=[payment(report="r"), payment(report="r", status="FAILED")])

    assert statuses(page) == ["PENDING"]


def test_reports_without_a_time_keep_their_order() -> None:
    """It is all that tells which came later, so a snapshot stands where it was last seen."""
    page = Page(
        HERE,
        payments=[payment(status="DISPUTE"), payment(status="FAILED", report="r"), payment(status="EXPIRED")],
    )

    assert statuses(page) == ["FAILED", "EXPIRED"]


def test_of_several_accounts_of_one_reference_the_last_wins() -> None:
    """The page is in the order in which the provider said it."""
    accounts = [Account(reference="a", type=AccountType.INTERNAL, name=name) for name in ("old", "new")]

    assert [row[3] for row in Page(HERE, accounts=accounts).accounts] == ["new"]


def test_balances_of_one_account_come_oldest_first() -> None:
    """Whatever their order in the page; one without a time is what the provider says now."""
    said = [(3, None), (2, NOON + HOUR), (1, NOON)]
    for order in itertools.permutations(said):
        page = Page(HERE, balances=[balance(minor, at) for minor, at in order])

        assert [(int(row[3]), row[5]) for row in page.balances] == [(1, 1), (2, 2), (3, 3)]


def test_balances_of_one_instant_are_one() -> None:
    """The last of them; other assets and other accounts are others."""
    dollars = Balance(account="acc", amount=Amount(5, Asset.parse("USD/2")), at=NOON)
    page = Page(
        HERE,
        balances=[
            balance(1, NOON),
            dollars,
            balance(2, NOON),
            balance(7),
            balance(8),
            balance(3, NOON, "other"),
        ],
    )

    assert sorted((row[1], row[2], int(row[3]), row[5]) for row in page.balances) == [
        ("acc", "EUR/2", 2, 1),
        ("acc", "EUR/2", 8, 2),
        ("acc", "USD/2", 5, 1),
        ("other", "EUR/2", 3, 1),
    ]


def test_a_bad_record_costs_only_itself() -> None:
    """The others of the page come in; it is set aside with the reason and what it was made from."""
    page = Page(
        HERE,
        payments=[payment("a"), payment("", raw='{"id": ""}'), payment("b"), payment("\ud800")],
        accounts=[Account(reference="x\0", type=AccountType.INTERNAL)],
        balances=[balance(1, NOON.replace(tzinfo=None))],
    )

    assert page.payments[REFERENCE] == ("a", "b")
    assert page.seen == 6
    assert [(kind, reason.partition(":")[0]) for _, kind, reason, _ in page.aside] == [
        ("account", "reference"),
        ("balance", "at"),
        ("payment", "reference"),
        ("payment", "reference"),
    ]
    raws = [raw for *_, raw in page.aside]
    assert raws[2] == '{"id": ""}'
    assert msgspec.json.decode(raws[0])["reference"] == "x\0"


@pytest.mark.parametrize(
    "record",
    [None, {}, {"reference": "x"}, "text", b"bytes", 5, 10**5000, [], object, balance(1)],
    ids=lambda record: type(record).__name__,
)
def test_what_is_no_record_is_set_aside(record: Any) -> None:
    """A mapper that returns nothing, or the wrong thing, shows in the counts and not as a crash."""
    page = Page(HERE, payments=[payment("a"), record, payment("b")], accounts=[record])

    assert page.payments[REFERENCE] == ("a", "b")
    assert [kind for _, kind, _, _ in page.aside] == ["account", "payment"]
    assert all("must be a record of class" in reason for _, _, reason, _ in page.aside)


class Hostile:
    """Whatever is asked of it, it raises."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)

    def __bool__(self) -> bool:
        raise ZeroDivisionError

    def __repr__(self) -> str:
        raise ZeroDivisionError


def test_a_record_that_raises_whatever_is_asked_is_set_aside() -> None:
    """Such as a proxy whose connection is gone."""
    hostile: Any = Hostile()

    assert [raw for *_, raw in Page(HERE, payments=[hostile]).aside] == ["<Hostile>"]


def test_an_error_that_nobody_thought_of_names_itself() -> None:
    """It is a record's error all the same."""
    minor = Amount(1, EUR)
    msgspec.structs.force_setattr(minor, "minor", 10**5000)
    page = Page(HERE, payments=[payment(amount=minor), payment("b")])

    assert page.payments[REFERENCE] == ("b",)
    assert page.aside[0][2].startswith("ValueError: ")


def test_what_was_set_aside_before_is_seen_and_kept() -> None:
    """By a mapper within a list, or by a task for its whole run."""
    aside = SetAside(kind="balance", reason="no amount", raw=b"{}")
    page = Page(HERE, payments=[aside, payment()], aside=[aside])

    assert page.seen == 3
    assert [row[1:] for row in page.aside] == [("balance", "no amount", "{}")] * 2


def test_a_page_has_a_limit() -> None:
    """It is found without reading on: what is mapped on the way may be a whole history."""
    read = itertools.count()

    def endless() -> Iterator[Payment]:
        for number in read:
            yield payment(str(number))

    assert Page(HERE, payments=itertools.islice(endless(), RECORDS_MAX)).seen == RECORDS_MAX
    with pytest.raises(PageTooLarge, match="10,000"):
        Page(HERE, payments=endless())
    assert next(read) == 2 * RECORDS_MAX + 1


def test_the_limit_is_of_all_kinds_together() -> None:
    """They are one transaction."""
    many = RECORDS_MAX // 2
    with pytest.raises(PageTooLarge):
        Page(HERE, payments=[payment()] * many, balances=[balance(1)] * many, aside=[SetAside(reason="r")])


def test_what_a_run_has_set_aside_already_may_be_more() -> None:
    """It is of the whole run, and there is no other page for it."""
    assert Page(HERE, aside=[SetAside(reason="r")] * (RECORDS_MAX + 2)).seen == RECORDS_MAX + 2


def test_the_raw_forms_of_a_page_have_a_limit() -> None:
    """The database would refuse it, and not say why; however bad the records are."""
    many = RAWS_MAX // RAW_MAX
    largest = [payment(str(number), raw="x" * RAW_MAX) for number in range(many + 1)]
    assert count(Page(HERE, payments=largest[:many]).payments) == many
    with pytest.raises(PageTooLarge, match="256 MiB"):
        Page(HERE, payments=largest)
    with pytest.raises(PageTooLarge):
        Page(HERE, payments=[SetAside(reason="r", raw=one.raw) for one in largest])


def test_an_error_of_the_source_is_let_out() -> None:
    """A page that could not be read to its end is no page."""

    def broken() -> Iterator[Payment]:
        yield payment()
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        Page(HERE, payments=broken())


def test_columns_are_equally_long() -> None:
    """Or the database would fill them up with nulls."""
    for page in (
        Page(HERE, payments=[payment("a"), payment("b", source="s")]),
        Page(HERE, payments=[payment("a"), payment("b", source="s", report="r")]),
    ):
        assert {len(column) for column in page.payments} == {2}
        keys, contents = hashes(page.payments)
        assert len(set(keys)) == len(set(contents)) == 2
    assert columns([]) == Page(HERE).payments == ()


reports = st.builds(
    payment,
    st.sampled_from("pq"),
    st.sampled_from(["PENDING", "FAILED"]),
    report=st.sampled_from([None, "r", "s"]),
    reported_at=st.sampled_from([None, NOON, NOON + HOUR]),
)


@given(st.lists(reports, max_size=12))
def test_folding_twice_is_folding_once(records: list[Payment]) -> None:
    """What is left names each report once, so it is left alone."""

    def kept(records: list[Payment]) -> list[tuple[Any, Any]]:
        found = Page(HERE, payments=records).payments
        return list(zip(found[KEY], found[REPORT], strict=True)) if found else []

    once = kept(records)

    assert len(set(once)) == len(once)
    assert set(once) == {report for one in records for report in kept([one])}
