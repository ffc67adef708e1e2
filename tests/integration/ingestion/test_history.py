"""What was said once is not lost: earlier versions of accounts, and what people say about payments."""

import asyncio
import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.events.test_relay import Told, relaying, until
from tests.integration.ingestion.inlet import NOON, Inlet, account, payment

from paymux.domain.ids import row_key
from paymux.storage import accounts, payments
from paymux.storage.database import Database
from paymux.storage.payments import Annotated

HOUR = timedelta(hours=1)


async def versions(
    inlet: Inlet, after: int | None = None, limit: int = 100, *, back: bool = False
) -> list[Any]:
    """The names that the account had, newest first, with its versions."""
    key = row_key(inlet.holder.uuid, "account", "a")
    rows = await accounts.history(inlet.database, key, after, limit, back=back)
    for newer, older in pairwise(rows):
        assert older["until"] == newer["since"] > older["since"]
    return [(row["version"], row["name"]) for row in rows]


async def annotate(inlet: Inlet, metadata: dict[str, str], limit: int = 1_000_000) -> Annotated:
    """Set metadata of the payment."""
    key = row_key(inlet.holder.uuid, "payment", "p")
    return await payments.annotate(inlet.database, key, metadata, limit)


async def shown(inlet: Inlet) -> Any:
    """The payment's metadata."""
    return json.loads((await inlet.payment())["metadata"] or "{}")


async def test_each_version_of_an_account_is_kept(inlet: Inlet) -> None:
    """Newest first, each until the next; the same said again is none."""
    for name in ("one", "one", "two", "three", "three", "one"):
        await inlet.ingest(accounts=[account(name=name, raw=f'{{"n":"{name}"}}')])

    assert await versions(inlet) == [(4, "one"), (3, "three"), (2, "two"), (1, "one")]
    assert await versions(inlet, after=3, limit=1) == [(2, "two")]
    assert await versions(inlet, after=1, limit=2, back=True) == [(3, "three"), (2, "two")]
    kept = await inlet.database.fetch("SELECT raw, run FROM account_version ORDER BY version")
    assert [row["raw"] for row in kept] == ['{"n":"one"}', '{"n":"two"}', '{"n":"three"}']


async def test_a_stub_is_no_version(inlet: Inlet) -> None:
    """Nobody has described it yet."""
    await inlet.ingest(payments=[payment(source="a")])
    assert await versions(inlet) == []

    await inlet.ingest(accounts=[account(name="one")])
    await inlet.ingest(payments=[payment(source="a", status="SUCCEEDED")])
    assert await versions(inlet) == [(1, "one")]


async def test_versions_that_come_at_once_are_all_kept(inlet: Inlet) -> None:
    """Whichever comes first: each is there once, also when the account is new to all of them."""
    names = [f"name {number}" for number in range(20)]
    await asyncio.gather(
        *(inlet.through(inlet.database).ingest(accounts=[account(name=name, raw=name)]) for name in names)
    )

    found = await versions(inlet)
    # Small pages are committed together, and one that says the same as the one before it says nothing new.
    assert [number for number, _ in found] == list(range(len(found), 0, -1))
    assert sorted(name for _, name in found) == sorted(names)


async def test_what_people_set_stays(inlet: Inlet) -> None:
    """Over what the provider says of the same key; all other keys are what it said last."""
    await inlet.ingest(payments=[payment(metadata={"a": "provider", "b": "provider"})])
    assert await annotate(inlet, {"a": "person", "c": "person"}) == Annotated.CHANGED
    assert await shown(inlet) == {"a": "person", "b": "provider", "c": "person"}

    await inlet.ingest(payments=[payment(status="SUCCEEDED", metadata={"a": "new", "d": "new"})])
    assert await shown(inlet) == {"a": "person", "c": "person", "d": "new"}
    assert await inlet.statuses() == ["PENDING", "SUCCEEDED"]

    await inlet.ingest(payments=[payment(status="FAILED")])
    assert await shown(inlet) == {"a": "person", "c": "person"}


async def test_a_poll_that_brings_nothing_new_is_still_one(inlet: Inlet) -> None:
    """What people set is not what the provider says, so it does not make its report another one."""
    await inlet.ingest(payments=[payment(metadata={"a": "1"})])
    await annotate(inlet, {"a": "2"})
    before = await inlet.ink()

    counts = await inlet.ingest(payments=[payment(metadata={"a": "1"})])

    assert (counts.added, counts.changed, counts.unchanged) == (0, 0, 1)
    assert await inlet.ink() == before


async def test_setting_the_same_again_is_nothing(inlet: Inlet) -> None:
    """No change, no entry, no event; and what the provider says already is kept without one."""
    await inlet.ingest(payments=[payment(metadata={"b": "1"})])
    assert await annotate(inlet, {"a": "1"}) == Annotated.CHANGED
    assert await annotate(inlet, {"a": "1"}) == Annotated.SAME
    assert await annotate(inlet, {}) == Annotated.SAME
    assert len(await inlet.events()) == 2

    assert await annotate(inlet, {"b": "1"}) == Annotated.CHANGED
    assert len(await inlet.events()) == 2
    await inlet.ingest(payments=[payment(metadata={"b": "2"})])
    assert (await shown(inlet))["b"] == "1"


async def test_what_cannot_be_set_is_not(inlet: Inlet) -> None:
    """Of a payment that is not there, of an installation that goes, or too much."""
    assert await annotate(inlet, {"a": "1"}) == Annotated.ABSENT
    await inlet.ingest(payments=[payment()])
    assert await annotate(inlet, {"a": "1234567890"}, limit=20) == Annotated.CHANGED
    assert await annotate(inlet, {"b": "1"}, limit=20) == Annotated.TOO_LARGE
    assert await shown(inlet) == {"a": "1234567890"}

    await inlet.database.execute("UPDATE installation SET status = 'RESETTING'")
    assert await annotate(inlet, {"b": "1"}) == Annotated.ABSENT


async def test_nothing_is_lost_when_many_set_at_once(inlet: Inlet) -> None:
    """Each by a key of its own, while reports come in."""
    await inlet.ingest(payments=[payment(reported_at=NOON - HOUR)])
    reports = [
        inlet.through(inlet.database).ingest(
            payments=[payment(reported_at=NOON + number * HOUR, metadata={"p": str(number)})]
        )
        for number in range(10)
    ]
    await asyncio.gather(*reports, *(annotate(inlet, {f"k{number}": "v"}) for number in range(20)))

    assert await shown(inlet) == {f"k{number}": "v" for number in range(20)} | {"p": "9"}


async def test_events_have_the_metadata_of_their_time(database: Database, inlet: Inlet) -> None:
    """Those of reports too, once something was set."""
    await inlet.ingest(payments=[payment(metadata={"a": "1"})])
    await annotate(inlet, {"b": "2"})
    await inlet.ingest(payments=[payment(status="SUCCEEDED", metadata={"a": "3"})])
    await annotate(inlet, {"a": "4"})

    sink = Told()
    async with relaying(database, sink):
        await until(lambda: len(sink.keys) == 4)
    assert len(set(sink.keys)) == 4
    assert [(one["status"], one["metadata"]) for one in sink.payloads] == [
        ("PENDING", {"a": "1"}),
        ("PENDING", {"a": "1", "b": "2"}),
        ("SUCCEEDED", {"a": "3", "b": "2"}),
        ("SUCCEEDED", {"a": "4", "b": "2"}),
    ]


async def test_the_history_of_metadata(inlet: Inlet) -> None:
    """Each change of each key, by whom and when, newest first; null where the provider dropped one."""
    await inlet.ingest(payments=[payment(reported_at=NOON, metadata={"a": "1", "b": "1"})])
    await inlet.ingest(payments=[payment(reported_at=NOON + 2 * HOUR, metadata={"a": "3"})])
    await annotate(inlet, {"a": "4"})
    await annotate(inlet, {"a": "5", "c": "6"})
    await inlet.ingest(payments=[payment(reported_at=NOON + HOUR, metadata={"a": "2", "b": "1"})])

    key = row_key(inlet.holder.uuid, "payment", "p")
    found = await payments.metadata_history(inlet.database, key, 100)
    assert [(row["key"], row["value"], row["set_here"]) for row in found] == [
        ("c", "6", True), ("a", "5", True), ("a", "4", True),
        ("a", "3", False), ("b", None, False), ("a", "2", False), ("a", "1", False), ("b", "1", False),
    ]  # fmt: skip
    assert [row["created_at"] for row in found[3:]] == [
        NOON + 2 * HOUR, NOON + 2 * HOUR, NOON + HOUR, NOON, NOON,
    ]  # fmt: skip
    assert len(await payments.metadata_history(inlet.database, key, 3)) == 3


keys = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.none() | st.integers(0, 3), keys), min_size=1, max_size=8))
@pytest.mark.usefixtures("database")
async def test_metadata_is_the_latest_report_under_what_people_set(
    inlet: Inlet, said: list[tuple[int | None, dict[str, str]]]
) -> None:
    """In whatever order reports (with their hour) and people (without one) come."""
    fresh = await Inlet.open(inlet.database)
    await fresh.ingest(payments=[payment(reported_at=NOON - HOUR)])
    reports: dict[int, dict[str, str]] = {-1: {}}
    people: dict[str, str] = {}
    for hour, metadata in said:
        if hour is None:
            await annotate(fresh, metadata)
            people |= metadata
        elif hour not in reports:
            await fresh.ingest(
                payments=[payment(report=str(hour), reported_at=NOON + hour * HOUR, metadata=metadata)]
            )
            reports[hour] = metadata
    assert await shown(fresh) == reports[max(reports)] | people


async def test_history_goes_with_what_it_is_of(inlet: Inlet) -> None:
    """An uninstall or a reset leaves nothing behind, not of an account with many versions either."""
    for number in range(10):
        await inlet.ingest(accounts=[account(name=str(number))])
    await inlet.ingest(payments=[payment()])
    await annotate(inlet, {"a": "1"})
    while await inlet.database.fetchval("SELECT empty_installation($1, 4)", inlet.holder.installation):
        pass

    for table in ("account_version", "annotation", "account", "payment"):
        assert await inlet.database.fetch(f"SELECT FROM {table}") == []
