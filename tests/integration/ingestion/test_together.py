"""Small pages of several runs share a statement where they can; it makes no difference but in time."""

import asyncio
from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from tests.integration.ingestion.inlet import Inlet, account, payment
from tests.integration.ingestion.test_properties import hold, paged, properly, record, reports

from paymux.domain.payment import Payment
from paymux.ingestion.ingester import Counts, Holder

RUNS = 3
# Whoever begins under a job takes over what ran under it.
jobs = count(1)


async def runs(inlet: Inlet) -> list[Holder]:
    return [await inlet.run(f"run {number}", job=next(jobs)) for number in range(RUNS)]


async def by_run(inlet: Inlet) -> dict[int, list[str]]:
    """The references of the payments that each run filed a report of."""
    rows = await inlet.database.fetch(
        "SELECT a.run, p.reference FROM adjustment a JOIN payment p ON p.key = a.payment"
        " WHERE p.installation = $1 ORDER BY a.run, p.reference, a.reported_at, a.report",
        inlet.holder.installation,
    )
    found: dict[int, list[str]] = {}
    for row in rows:
        found.setdefault(row["run"], []).append(row["reference"])
    return found


@properly
@given(data=st.data(), records=reports())
async def test_together_or_one_after_the_other(
    inlet: Inlet, data: st.DataObject, records: list[Payment]
) -> None:
    """The same payments, reports, events and counts, each of its own run and installation."""
    pages = data.draw(paged(records))
    one, other, third = [await Inlet.open(inlet.database) for _ in range(3)]
    slow, fast, beside = await runs(one), await runs(other), await runs(third)
    single = [await one.ingest(payments=page, holder=slow[n % RUNS]) for n, page in enumerate(pages)]
    # The first goes alone; those that come meanwhile share the next. Another installation's are among them.
    mixed = [
        (inlet, page, holders[n % RUNS])
        for n, page in enumerate(pages)
        for inlet, holders in ((other, fast), (third, beside))
    ]
    first = other.through(inlet.database)
    # All of them through one way in, as of one worker.
    together = await asyncio.gather(*(_ingest(first, inlet, page, holder) for inlet, page, holder in mixed))

    assert await record(one) == await record(other) == await record(third)
    assert [list(map(len, (await by_run(inlet)).values())) for inlet in (other, third)] == [
        list(map(len, (await by_run(one)).values()))
    ] * 2
    assert together[::2] == together[1::2] == single
    for each in (one, other, third):
        await hold(each)


async def _ingest(way: Inlet, inlet: Inlet, page: list[Payment], holder: Holder) -> Counts:
    way.holder = inlet.holder
    return await way.ingest(payments=page, holder=holder)


async def test_each_page_is_of_its_own_run(inlet: Inlet) -> None:
    """Whatever else is in the statement: what it brought, whose it is, and the accounts that it names."""
    elsewhere = await Inlet.open(inlet.database)
    here, there = await runs(inlet), await runs(elsewhere)
    await inlet.ingest(payments=[payment("known"), payment("well known")], holder=here[0])
    pages = [
        (inlet, [payment("first")], here[0]),
        (inlet, [payment("known"), payment("new", source="a", destination="b")], here[1]),
        (elsewhere, [payment("known", "FAILED", source="a")], there[0]),
        (inlet, [payment("well known", "FAILED"), payment("other", source="a")], here[2]),
    ]
    way = inlet.through(inlet.database)
    counts = await asyncio.gather(*(_ingest(way, *page) for page in pages))

    assert [(c.seen, c.added, c.changed, c.unchanged) for c in counts] == [
        (1, 1, 0, 0),
        (2, 1, 0, 1),
        (1, 1, 0, 0),
        (2, 1, 1, 0),
    ]
    assert await by_run(inlet) == {
        here[0].token: ["first", "known", "well known"],
        here[1].token: ["new"],
        here[2].token: ["other", "well known"],
    }
    assert await by_run(elsewhere) == {there[0].token: ["known"]}
    assert [row["reference"] for row in await inlet.rows("account", "reference")] == ["a", "b"]
    assert [(row["reference"], row["run"]) for row in await elsewhere.rows("account")] == [
        ("a", there[0].token)
    ]


async def test_a_new_account_is_of_the_first_run_that_names_it(inlet: Inlet) -> None:
    """As it would be one after the other."""
    held = await runs(inlet)
    way = inlet.through(inlet.database)
    accounts = [f"a{number}" for number in range(20)]
    pages = [
        way.ingest(payments=[payment(f"{run}/{name}", source=name) for name in accounts], holder=held[run])
        for run in range(RUNS)
    ]
    await asyncio.gather(way.ingest(payments=[payment("first")], holder=held[2]), *pages)

    assert {row["run"] for row in await inlet.rows("account")} == {held[0].token}


async def test_what_is_more_than_payments_goes_its_own_way(inlet: Inlet) -> None:
    """Accounts, states and the like are committed page by page, in the same round trip."""
    held = await runs(inlet)
    way = inlet.through(inlet.database)
    await asyncio.gather(
        way.ingest(payments=[payment("first")], holder=held[0]),
        way.ingest(payments=[payment("p")], holder=held[0]),
        way.ingest(payments=[payment("q")], accounts=[account("a")], holder=held[1]),
        way.ingest(payments=[payment("r")], holder=held[2], state='"here"'),
    )

    assert len(await inlet.rows("payment")) == 4
    assert [row["type"] for row in await inlet.rows("account")] == ["INTERNAL"]
    assert await inlet.database.fetchval("SELECT state FROM task WHERE id = $1", held[2].task) == '"here"'
