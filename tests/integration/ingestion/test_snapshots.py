"""What becomes of a payment, and of an account, that is described again and again."""

from datetime import UTC, datetime, timedelta

from tests.integration.ingestion.inlet import EUR, NOON, Inlet, account, balance, payment

from paymux.domain.account import Account, AccountType
from paymux.domain.money import Amount, Asset
from paymux.domain.payment import Payment

HOUR = timedelta(hours=1)


async def test_there_and_back_again_are_three_reports(inlet: Inlet) -> None:
    """And once more, four: going back is news, and each is told under a key of its own."""
    for status in ("PENDING", "FAILED", "PENDING", "FAILED", "PENDING"):
        await inlet.ingest(payments=[payment(status=status)])

    reports = await inlet.adjustments()
    assert [row["status"] for row in reports] == ["PENDING", "FAILED", "PENDING", "FAILED", "PENDING"]
    assert [row["part"] for row in await inlet.events()] == [row["report"] for row in reports]
    row = await inlet.payment()
    assert (row["status"], row["head"]) == ("PENDING", reports[-1]["report"])


async def test_of_two_snapshots_in_a_page_the_last_wins(inlet: Inlet) -> None:
    """It is one page, so it is one change."""
    await inlet.ingest(payments=[payment(), payment(status="FAILED")])

    assert await inlet.statuses() == ["FAILED"]
    assert len(await inlet.events()) == 1


async def test_a_reclassified_payment_stays_one_payment(inlet: Inlet) -> None:
    """Its identifier keeps the type that was seen first."""
    for kind in ("PAY-IN", "PAYOUT", "TRANSFER"):
        await inlet.ingest(payments=[payment(type=kind)])

    row = await inlet.payment()
    assert (row["type"], row["first_type"]) == ("TRANSFER", "PAY-IN")
    assert len(await inlet.rows("payment")) == 1
    assert [row["type"] for row in await inlet.adjustments()] == ["PAY-IN", "PAYOUT", "TRANSFER"]


async def test_a_time_that_is_missing_keeps_the_one_that_is_known(inlet: Inlet) -> None:
    """Where none is known, it is when we first heard of it; a time in the future is taken as it is."""
    future = datetime.now(UTC) + timedelta(days=400)
    await inlet.ingest(payments=[payment(created_at=future)], accounts=[account(created_at=future)])
    await inlet.ingest(payments=[payment(status="FAILED")], accounts=[account(name="n")])
    assert (await inlet.payment())["created_at"] == (await inlet.account())["created_at"] == future

    await inlet.ingest(
        payments=[payment(status="FAILED", created_at=NOON)], accounts=[account(created_at=NOON)]
    )
    assert (await inlet.payment())["created_at"] == (await inlet.account())["created_at"] == NOON

    await inlet.ingest(payments=[payment("q")], accounts=[account("b")])
    assert abs((await inlet.payment("q"))["created_at"] - datetime.now(UTC)) < timedelta(minutes=1)
    assert (await inlet.payment("q"))["created_at"] == (await inlet.account("b"))["created_at"]


async def test_a_history_without_dates_is_as_old_as_its_first_report(inlet: Inlet) -> None:
    """Until somebody says when the payment was made."""
    await inlet.ingest(payments=[payment(status="FAILED", reported_at=NOON + HOUR)])
    assert (await inlet.payment())["created_at"] == NOON + HOUR
    await inlet.ingest(payments=[payment(reported_at=NOON)])
    assert (await inlet.payment())["created_at"] == NOON
    await inlet.ingest(payments=[payment(reported_at=NOON - HOUR, created_at=NOON - 2 * HOUR)])
    assert (await inlet.payment())["created_at"] == NOON - 2 * HOUR


async def test_a_snapshot_is_later_than_any_report(inlet: Inlet) -> None:
    """Whatever clock those went by: it is what the provider says now."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    timed = payment(status="DISPUTE", reported_at=tomorrow)
    await inlet.ingest(payments=[payment("p", "SUCCEEDED"), timed])
    assert await inlet.statuses() == ["DISPUTE", "SUCCEEDED"]

    await inlet.ingest(payments=[payment("p", "REFUNDED")])
    assert await inlet.statuses() == ["DISPUTE", "SUCCEEDED", "REFUNDED"]
    assert (await inlet.payment())["status"] == "REFUNDED"


async def test_reports_without_a_time_are_in_the_order_they_came_in(inlet: Inlet) -> None:
    """Within a page, too."""
    names = [payment(status=status, report=status) for status in ("SUCCEEDED", "DISPUTE", "DISPUTE_LOST")]
    await inlet.ingest(payments=names)
    await inlet.ingest(payments=[names[0], payment(status="REFUNDED", report="r"), *names])

    assert await inlet.statuses() == ["SUCCEEDED", "DISPUTE", "DISPUTE_LOST", "REFUNDED"]
    assert (await inlet.payment())["status"] == "REFUNDED"
    assert [row["reference"] for row in await inlet.adjustments()] == [
        "SUCCEEDED",
        "DISPUTE",
        "DISPUTE_LOST",
        "r",
    ]


async def test_the_initial_amount_is_that_of_the_earliest_report(inlet: Inlet) -> None:
    """Gross, as first reported; the page may know more than one of them already."""

    def report(minor: int, hours: int, initial: int | None = None) -> Payment:
        gross = None if initial is None else Amount(initial, EUR)
        return payment(amount=Amount(minor, EUR), initial_amount=gross, reported_at=NOON + hours * HOUR)

    await inlet.ingest(payments=[report(70, 3)])
    assert (await inlet.payment())["initial_amount"] == 70
    await inlet.ingest(payments=[report(90, 1), report(70, 3), report(80, 2)])
    row = await inlet.payment()
    assert (row["amount"], row["initial_amount"]) == (70, 90)
    await inlet.ingest(payments=[report(90, 1), report(95, 0, 100)])
    row = await inlet.payment()
    assert (row["amount"], row["initial_amount"], row["first_at"]) == (70, 100, NOON)


async def test_the_initial_amount_is_in_the_asset_that_the_payment_is_in(inlet: Inlet) -> None:
    """A mapping that had it in hundredths of a yen is mended: it did not begin with 50,000 yen."""
    for asset, minor in (("JPY/2", 50_000), ("JPY", 500), ("JPY", 400)):
        await inlet.ingest(payments=[payment(amount=Amount(minor, Asset.parse(asset)))])
    row = await inlet.payment()
    assert (row["asset"], row["amount"], row["initial_amount"]) == ("JPY", 400, 500)
    told = [(one["asset"], one["amount"], one["initial_amount"]) for one in await inlet.line()]
    assert told == [("JPY/2", 50_000, 50_000), ("JPY", 500, 500), ("JPY", 400, 500)]


# Accounts


async def test_an_account_that_nobody_described_becomes_a_stub(inlet: Inlet) -> None:
    """A payment never waits for its accounts, whether or not its report is the latest."""
    await inlet.ingest(
        payments=[payment(source="s", destination="d", reported_at=NOON)],
        balances=[balance(1, reference="b")],
    )
    await inlet.ingest(payments=[payment(source="late", reported_at=NOON - HOUR)])

    rows = await inlet.rows("account", "reference")
    assert [row["reference"] for row in rows] == ["b", "d", "late", "s"]
    assert {(row["type"], row["version"], row["hash"]) for row in rows} == {("UNKNOWN", 0, None)}
    assert not await inlet.events("SAVED_ACCOUNT")


async def test_a_stub_that_is_described_becomes_an_account(inlet: Inlet) -> None:
    """That is told as news, also when the description says as little as the stub did."""
    await inlet.ingest(payments=[payment(source="a", destination="b")])
    counts = await inlet.ingest(accounts=[account("a", name="Ours"), account("b", type=AccountType.UNKNOWN)])

    assert (counts.added, counts.changed) == (2, 0)
    row = await inlet.account("a")
    assert (row["type"], row["name"], row["version"]) == ("INTERNAL", "Ours", 1)
    assert len(await inlet.events("SAVED_ACCOUNT")) == 2
    await inlet.ingest(payments=[payment("q", source="a")])
    assert (await inlet.account("a"))["version"] == 1


async def test_an_account_is_refreshed_when_it_changed(inlet: Inlet) -> None:
    """There and back again are two changes, and each is told under a key of its own."""
    described = Account(reference="a", type=AccountType.INTERNAL, name="n", metadata={"k": "v"}, raw="{}")
    changed = Account(reference="a", type=AccountType.EXTERNAL, name="m", default_asset="EUR/2", raw="[]")
    counts = [
        await inlet.ingest(accounts=[one]) for one in (described, described, changed, changed, described)
    ]

    assert [(count.added, count.changed, count.unchanged) for count in counts] == [
        (1, 0, 0), (0, 0, 1), (0, 1, 0), (0, 0, 1), (0, 1, 0),
    ]  # fmt: skip
    events = await inlet.events("SAVED_ACCOUNT")
    assert len({row["part"] for row in events}) == len(events) == 3
    row = await inlet.account()
    assert (row["type"], row["name"], row["default_asset"], row["metadata"], row["raw"], row["version"]) == (
        "INTERNAL", "n", "", '{"k": "v"}', "{}", 3,
    )  # fmt: skip
