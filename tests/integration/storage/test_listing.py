"""A filter finds what reading every row would find, and a walk meets every row once, whatever is asked."""

import itertools
import json
import operator
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.integration.ingestion.inlet import NOON, Inlet, account, balance, payment

from paymux.api import filters
from paymux.api.paging import Cursors
from paymux.api.v1 import accounts as shown_accounts
from paymux.api.v1 import payments as shown_payments
from paymux.domain.account import AccountType
from paymux.domain.filter import Compare, Every, Operator
from paymux.domain.ids import ConnectorID, account_id, payment_id, row_key
from paymux.domain.money import Amount, Asset
from paymux.domain.payment import PaymentScheme, PaymentType
from paymux.domain.times import rfc3339
from paymux.storage import accounts, balances, listing, payments
from paymux.storage.accounts import ACCOUNTS
from paymux.storage.balances import BALANCES
from paymux.storage.database import Database
from paymux.storage.listing import Asked, Noun, TooSlow
from paymux.storage.payments import PAYMENTS

Wire = dict[str, Any]
HOUR = timedelta(hours=1)
EVERYTHING = 10_000
REFERENCES = ["p", "pé", "P%", "p_1", "10"]
NAMES = ["", "a", "A b", "\u00e4", "100%"]
VALUES = ["", "v", "V", "w\u0101", '"quoted"']
ASSETS = ["EUR/2", "USD/2", "JPY", "ETH/18"]
AMOUNTS = [0, 1, -1, 100, 2**63, 10**40]
PATTERNS = ["%", "p%", "_", "%1%", "\\%", "P\\%", "", "%e", "E%", "v_%", "%\\\\"]

_BY_WORD: dict[str, Callable[[Any, Any], bool]] = {
    "$match": operator.eq,
    "$lt": operator.lt,
    "$lte": operator.le,
    "$gt": operator.gt,
    "$gte": operator.ge,
}
properly = settings(
    max_examples=60,
    # Shrinking asks the database for minutes, and these are short as they are.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

times = st.integers(0, 4).map(lambda hours: NOON + hours * HOUR)
metadata = st.dictionaries(st.sampled_from(["k", "key]", 'q"', ""]), st.sampled_from(VALUES), max_size=2)
asset_amounts = st.builds(Amount, st.sampled_from(AMOUNTS), st.sampled_from(ASSETS).map(Asset.parse))
references = st.sampled_from(["a", "b", "c"])
some_payments = st.lists(
    st.builds(
        payment,
        st.sampled_from(REFERENCES),
        st.sampled_from(["PENDING", "SUCCEEDED", "DISPUTE"]),
        type=st.sampled_from(PaymentType),
        scheme=st.sampled_from([PaymentScheme.VISA, PaymentScheme.SEPA_DEBIT]),
        amount=asset_amounts,
        source=st.none() | references,
        destination=st.none() | references,
        created_at=times,
        metadata=metadata,
    ),
    max_size=8,
)
some_accounts = st.lists(
    st.builds(
        account,
        references | st.sampled_from(REFERENCES),
        type=st.sampled_from(AccountType),
        name=st.sampled_from(NAMES),
        default_asset=st.sampled_from(["", *ASSETS]),
        created_at=times,
        metadata=metadata,
    ),
    max_size=8,
)


@pytest.fixture
async def inlets(database: Database) -> list[Inlet]:
    """Three installations, of which two have one provider."""
    found = [await Inlet.open(database) for _ in range(3)]
    await database.execute(
        "UPDATE installation SET provider = 'OTHER' WHERE id = $1", found[2].holder.installation
    )
    return found


def connectors(inlets: list[Inlet]) -> list[ConnectorID]:
    return [
        ConnectorID("OTHER" if number == 2 else "EXAMPLE", inlet.holder.uuid)
        for number, inlet in enumerate(inlets)
    ]


def leaves(inlets: list[Inlet], noun: Noun) -> st.SearchStrategy[Wire]:
    """Comparisons of every column by every operator that it knows."""
    known = connectors(inlets)
    # Nobody's, and somebody's under another provider's name.
    identities = [
        *known,
        ConnectorID("EXAMPLE", known[2].reference),
        ConnectorID("OTHER", row_key(known[0].reference, "", "")),
    ]
    ids = [account_id(one, reference) for one in identities for reference in ("a", "b", "p")]
    values: dict[str, st.SearchStrategy[Any]] = {
        "reference": st.sampled_from([*REFERENCES, "a", "", "p%"]),
        "connectorID": st.sampled_from([one.encode() for one in identities]),
        "provider": st.sampled_from(["EXAMPLE", "OTHER", "NOBODY"]),
        "type": st.sampled_from(
            ["PAY-IN", "OTHER"] if noun is PAYMENTS else ["INTERNAL", "EXTERNAL", "UNKNOWN"]
        ),
        "status": st.sampled_from(["PENDING", "SUCCEEDED", "FAILED"]),
        "scheme": st.sampled_from(["visa", "sepa debit", "unknown"]),
        "asset": st.sampled_from(ASSETS),
        "defaultAsset": st.sampled_from([*ASSETS, ""]),
        "accountName": st.sampled_from(NAMES),
        "amount": st.sampled_from(AMOUNTS),
        "initialAmount": st.sampled_from(AMOUNTS),
        "createdAt": (times | times.map(lambda time: time + HOUR / 2)).map(rfc3339),
        "id": st.sampled_from(
            [payment_id(one, reference, "PAY-IN") for one in identities for reference in REFERENCES]
        )
        if noun is PAYMENTS
        else st.sampled_from(ids),
        "sourceAccountID": st.sampled_from([*ids, ""]),
        "destinationAccountID": st.sampled_from([*ids, ""]),
    } | {f"metadata[{key}]": st.sampled_from(VALUES) for key in ("k", "key]", 'q"', "none")}

    @st.composite
    def leaf(draw: st.DrawFn) -> Wire:
        name = draw(
            st.sampled_from(
                [name for column in noun.columns for name in values if name.partition("[")[0] == column]
            )
        )
        column = noun.columns[name.partition("[")[0]]
        word = draw(st.sampled_from(listing.operators(column.kind)))
        if word is Operator.EXISTS:
            return {word: {name: draw(st.booleans())}}
        if word is Operator.IN:
            return {word: {name: draw(st.lists(values[name], min_size=1, max_size=3))}}
        if word is Operator.LIKE:
            return {
                word: {
                    name: draw(st.sampled_from(PATTERNS) | values[name].filter(lambda one: "\\" not in one))
                }
            }
        return {word: {name: draw(values[name])}}

    return leaf()


def filters_of(inlets: list[Inlet], noun: Noun) -> st.SearchStrategy[Wire]:
    """In any nesting."""
    return st.recursive(
        leaves(inlets, noun),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3).map(lambda several: {"$and": several})
            | st.lists(inner, min_size=1, max_size=3).map(lambda several: {"$or": several})
            | inner.map(lambda one: {"$not": one})
        ),
        max_leaves=6,
    )


def holds(wire: Wire, row: Wire) -> bool:
    """What a filter means, over a row as it is shown."""
    ((word, about),) = wire.items()
    match word:
        case "$and":
            return all(holds(one, row) for one in about)
        case "$or":
            return any(holds(one, row) for one in about)
        case "$not":
            return not holds(about, row)
    return all(compares(word, name, value, row) for name, value in about.items())


def compares(word: str, name: str, value: Any, row: Wire) -> bool:
    keyed = re.fullmatch(r"metadata\[(.+)\]", name, re.DOTALL)
    has = (row["metadata"] or {}).get(keyed[1]) if keyed else row[name]
    if word == "$exists":
        return (has is not None and (bool(keyed) or has != "")) is value
    if word == "$in":
        return any(compares("$match", name, one, row) for one in value)
    if has is None:
        return False
    if name == "provider":  # written in either case
        value = value.upper()
    if word == "$like":
        return _pattern(value).fullmatch(has) is not None
    if name == "id":  # which keeps the type that was seen first, and is found by any
        return bool(_identity(has) == _identity(value))
    return _BY_WORD[word](_comparable(name, has), _comparable(name, value))


def _comparable(name: str, value: Any) -> Any:
    if name == "createdAt":
        return datetime.fromisoformat(value)
    return value.encode() if isinstance(value, str) else value


def _identity(text: str) -> Any:
    parts = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return parts["ConnectorID"], parts["Reference"]


def _pattern(text: str) -> re.Pattern[str]:
    parts = re.findall(r"\\(.)|(.)", text, re.DOTALL)
    return re.compile(
        "".join(
            re.escape(escaped) if escaped else {"%": ".*", "_": "."}.get(plain, re.escape(plain))
            for escaped, plain in parts
        ),
        re.DOTALL,
    )


async def everything(database: Database, noun: Noun, asked: Asked) -> list[Wire]:
    """Rows as they are shown."""
    shown: list[Any]
    if noun is PAYMENTS:
        shown = [
            shown_payments.shown(rows) for rows in (await payments.listed(database, asked, EVERYTHING))[0]
        ]
    else:
        shown = [shown_accounts.shown(row) for row in (await accounts.listed(database, asked, EVERYTHING))[0]]
    found: list[Wire] = json.loads(msgspec.json.encode(shown))
    return found


async def stock(database: Database, inlets: list[Inlet], data: st.DataObject) -> None:
    """Some accounts and payments in each installation, and nothing from before."""
    await database.execute("DELETE FROM payment; DELETE FROM adjustment; DELETE FROM account")
    for inlet in inlets:
        await inlet.ingest(accounts=data.draw(some_accounts), payments=data.draw(some_payments))


@pytest.mark.parametrize("noun", [PAYMENTS, ACCOUNTS], ids=["payments", "accounts"])
@properly
@given(data=st.data())
async def test_a_filter_finds_what_reading_every_row_would_find(
    database: Database, inlets: list[Inlet], noun: Noun, data: st.DataObject
) -> None:
    """Of every column, by every operator, in any nesting; what is absent equals nothing."""
    await stock(database, inlets, data)
    rows = await everything(database, noun, Asked())
    wires = filters_of(inlets, noun)
    for _ in range(8):
        wire = data.draw(wires)
        asked = Asked(filters.condition(filters.decoded(json.dumps(wire)), noun.columns))
        assert await everything(database, noun, asked) == [row for row in rows if holds(wire, row)]


class Walk:
    """A list, page by page, by its cursors."""

    def __init__(self, database: Database, noun: Noun, asked: Asked, size: int) -> None:
        self._database = database
        self._noun = noun
        self._asked = asked
        self._size = str(size)
        self._cursors = Cursors(b"key")
        self.places: list[tuple[Any, ...]] = []

    async def page(self, cursor: str | None = None) -> dict[str, Any]:
        """One page: its envelope, its rows as their keys."""
        place = self._cursors.place("list", self._size, cursor)
        asked = msgspec.structs.replace(self._asked, at=place.row, backwards=place.backwards)
        keys: list[Any]
        if self._noun is PAYMENTS:
            rows, places = await payments.listed(self._database, asked, place.size + 1)
            keys = [row[0]["key"].hex for row in rows]
        else:
            plain, places = await accounts.listed(self._database, asked, place.size + 1)
            keys = [row["key"].hex for row in plain]
        self.places = places[: place.size] if len(places) > place.size else places
        found: dict[str, Any] = self._cursors.page(place, keys, places)["cursor"]
        return found


def in_order(asked: Asked, noun: Noun, places: list[tuple[Any, ...]]) -> bool:
    """Each row behind the one before it, by the columns asked for and then by what tells any two apart."""
    order = listing.ordered(noun, asked.order)
    for one, next_one in itertools.pairwise(places):
        way = next(
            (
                (left < right) is not by.descending
                for by, left, right in zip(order, map(_bytes, one), map(_bytes, next_one), strict=True)
                if left != right
            ),
            None,
        )
        if way is not True:
            return False
    return True


def _bytes(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


@st.composite
def orders(draw: st.DrawFn, noun: Noun) -> list[str]:
    names = draw(st.lists(st.sampled_from(filters.sortable(noun.columns)), max_size=3, unique=True))
    return [f"{name}:{draw(st.sampled_from(['asc', 'desc']))}" for name in names]


@pytest.mark.parametrize("noun", [PAYMENTS, ACCOUNTS], ids=["payments", "accounts"])
@properly
@given(data=st.data())
async def test_a_walk_meets_every_row_once_in_any_order(
    database: Database, inlets: list[Inlet], noun: Noun, data: st.DataObject
) -> None:
    """To the end and back again, in pages of any size: the same pages, in the order asked for."""
    await stock(database, inlets, data)
    wire = data.draw(st.none() | leaves(inlets, noun))
    asked = Asked(
        filters.condition(wire, noun.columns) if wire else None,
        filters.order(data.draw(orders(noun)), noun.columns),
    )
    walk = Walk(database, noun, asked, data.draw(st.integers(1, 5)))
    page = await walk.page()
    forward, places = [page], walk.places
    assert "previous" not in page
    while "next" in page:
        assert page["hasMore"] is True
        page = await walk.page(page["next"])
        forward.append(page)
        places = [*places, *walk.places]
    assert page["hasMore"] is False
    backward = [page]
    while "previous" in page:
        page = await walk.page(page["previous"])
        backward.append(page)

    keys = [key for page in forward for key in page["data"]]
    rows = await everything(database, noun, Asked())
    assert len(keys) == len(set(keys)) == sum(wire is None or holds(wire, row) for row in rows)
    assert in_order(asked, noun, places)
    assert [page["data"] for page in backward[::-1]] == [page["data"] for page in forward]


@pytest.mark.parametrize("noun", [PAYMENTS, ACCOUNTS], ids=["payments", "accounts"])
@properly
@given(data=st.data())
async def test_nothing_repeats_or_skips_while_more_comes_in(
    database: Database, inlets: list[Inlet], noun: Noun, data: st.DataObject
) -> None:
    """Every row that was there when the walk began is met exactly once, in any order."""
    await stock(database, inlets, data)
    asked = Asked(None, filters.order(data.draw(orders(noun)), noun.columns))
    walk = Walk(database, noun, asked, data.draw(st.integers(1, 4)))
    there = {row["key"].hex for row in await database.fetch(f"SELECT key FROM {noun.record}")}  # noqa: S608 - two names
    page = await walk.page()
    met = list(page["data"])
    number = 0
    while "next" in page:
        number += 1
        # Another connection of the pool, and references that were not there before.
        await inlets[number % 3].ingest(
            accounts=[
                account(f"new {number}", created_at=data.draw(times), name=data.draw(st.sampled_from(NAMES)))
            ],
            payments=[payment(f"new {number}", amount=data.draw(asset_amounts), created_at=data.draw(times))],
        ) if number < 10 else None
        page = await walk.page(page["next"])
        met += page["data"]

    assert len(met) == len(set(met))
    assert there <= set(met)


async def test_amounts_of_any_size_are_compared_exactly(database: Database, inlets: list[Inlet]) -> None:
    """Neither a cursor nor a filter passes through a float."""
    large = [10**77 + number for number in range(5)]
    eth = Asset.parse("ETH/18")
    await inlets[0].ingest(payments=[payment(str(one), amount=Amount(one, eth)) for one in large])

    for number, one in enumerate(large):
        wire = {"$gt": {"amount": one}}
        asked = Asked(filters.condition(wire, PAYMENTS.columns), filters.order(["amount"], PAYMENTS.columns))
        assert [row["amount"] for row in await everything(database, PAYMENTS, asked)] == large[number + 1 :]
    walk = Walk(database, PAYMENTS, Asked(None, filters.order(["amount:desc"], PAYMENTS.columns)), 1)
    page = await walk.page()
    met = [walk.places[0][0]]
    while "next" in page:
        page = await walk.page(page["next"])
        met.append(walk.places[0][0])
    assert met == large[::-1]


async def test_a_balance_is_known_after_the_last_poll(database: Database, inlets: list[Inlet]) -> None:
    """At a time within an interval, at its edges, after all and before all; each asset has its own."""
    said = [(1, 0), (1, 2), (2, 3), (1, 4)]
    await inlets[0].ingest(balances=[balance(minor, NOON + hours * HOUR) for minor, hours in said])
    await inlets[0].ingest(balances=[balance(7, NOON + HOUR, asset="USD/2"), balance(9, NOON, "other")])
    account_key = row_key(inlets[0].holder.uuid, "account", "a")
    expected = {-1: {}, 0: {"EUR/2": 1}, 1: {"EUR/2": 1, "USD/2": 7}, 2: {"EUR/2": 1, "USD/2": 7},
                3: {"EUR/2": 2, "USD/2": 7}, 4: {"EUR/2": 1, "USD/2": 7},
                99: {"EUR/2": 1, "USD/2": 7}}  # fmt: skip

    for hours, held in expected.items():
        at = NOON + hours * HOUR
        asked = Asked(Every((balances.of(account_key), balances.at(at))))
        rows, _ = await balances.listed(database, asked, EVERYTHING)
        assert {row["asset"]: row["amount"] for row in rows} == held


@properly
@given(data=st.data())
async def test_balances_are_filtered_and_walked_like_everything_else(
    database: Database, inlets: list[Inlet], data: st.DataObject
) -> None:
    """By a span, by an asset, by an amount, in any order; only those of the account."""
    await database.execute("DELETE FROM balance; DELETE FROM account")
    polls = data.draw(st.lists(st.tuples(asset_amounts, times, references), max_size=12))
    for amount, at, reference in polls:
        await inlets[0].ingest(balances=[balance(amount.minor, at, reference, str(amount.asset))])
    key = row_key(inlets[0].holder.uuid, "account", "a")
    rows = await database.fetch("SELECT * FROM balance WHERE account = $1", key)
    since, until = data.draw(times), data.draw(times)
    order = filters.order(data.draw(orders(BALANCES)), BALANCES.columns)
    last = {
        asset: max(r["created_at"] for r in rows if r["asset"] == asset)
        for asset in {r["asset"] for r in rows}
    }
    expected = {
        (row["asset"], row["created_at"])
        for row in rows
        if (row["last_updated_at"] >= since or row["created_at"] == last[row["asset"]])
        and row["created_at"] <= until
        and row["amount"] >= 1
    }
    asked = Asked(
        Every(
            (
                balances.of(key),
                balances.since(since),
                Compare("createdAt", Operator.LTE, until),
                filters.condition({"$gte": {"balance": 1}}, BALANCES.columns),
            )
        ),
        order,
    )
    met: list[Any] = []
    while True:
        found, places = await balances.listed(database, asked, 2)
        met += [(row["asset"], row["created_at"]) for row in found]
        if not found:
            break
        asked = msgspec.structs.replace(asked, at=places[-1])

    assert len(met) == len(set(met))
    assert set(met) == expected


async def test_a_question_that_takes_too_long_is_given_up(database: Database, inlets: list[Inlet]) -> None:
    """And the connection that asked it is good for the next one."""
    await inlets[0].ingest(payments=[payment()])
    for _ in range(20):
        with pytest.raises(TooSlow, match="Ask for less"):
            await listing.listed(database, PAYMENTS, Asked(), 10, patience=1e-6)
    rows, _ = await listing.listed(database, PAYMENTS, Asked(), 10)
    assert len(rows) == 1
