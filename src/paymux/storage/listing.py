"""Lists of any filter, in any order, a page at a time: the SQL that answers them.

Whatever a client says is a parameter. Only names of our own columns and the shape of the question become
text. A place in a list is the values its order looks at, of the last row seen: the next page begins behind
them, wherever in the list that is.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec

from paymux.domain.filter import ORDERED, By, Compare, Condition, Every, Kind, Not, Operator, Some
from paymux.domain.ids import AccountParts, PaymentParts, TransferParts, row_key
from paymux.storage.database import Database, Row
from paymux.storage.statements import statements

_SQL = statements("listing")

# Seconds. Beyond this a question is not one for the interface; without a limit a handful of them would
# hold every connection.
TIME_MAX = 30.0
# A reference is looked up under every installation. With more keys than this the index is no help.
_KEYS_MAX = 10_000

Place = tuple[Any, ...]

_SIGNS = {
    Operator.MATCH: "=",
    Operator.LT: "<",
    Operator.LTE: "<=",
    Operator.GT: ">",
    Operator.GTE: ">=",
    Operator.LIKE: "LIKE",
}
_TYPES = {
    Kind.NUMBER: "numeric",
    Kind.TIME: "timestamptz",
    Kind.CONNECTOR: "integer",
    Kind.ACCOUNT: "uuid",
    Kind.PAYMENT: "uuid",
    Kind.TRANSFER: "uuid",
    Kind.KEY: "uuid",
}
_NO_ACCOUNT = "'00000000-0000-0000-0000-000000000000'"


class TooSlow(Exception):
    """This takes longer than a list may. Ask for less: by createdAt, by connectorID, or by an id."""


class Column(msgspec.Struct, frozen=True):
    """A column as clients name it: what it holds and where that is.

    ``sql`` of a provider or connector is the installation's key; of any but metadata it is never NULL
    unless it is ``optional``. ``words`` are all that it can hold, where those are few.
    """

    kind: Kind
    sql: str
    words: tuple[str, ...] = ()
    optional: bool = False
    # Not for clients to name.
    hidden: bool = False


class Noun(msgspec.Struct, frozen=True):
    """What is listed: its columns, and the statement with places for ``{where}``, ``{order}`` and the rest.

    In the statement the row is ``r``, and its key, where it has one, ``r.key``.
    ``record`` is the kind that keys of rows are made with; ``last`` are the columns that tell any two rows
    apart, newest first unless told otherwise.
    """

    record: str
    columns: Mapping[str, Column]
    statement: str
    last: tuple[str, ...] = ("createdAt", "id")
    default: tuple[By, ...] = (By("createdAt", descending=True),)


class Asked(msgspec.Struct, frozen=True):
    """A question: which rows, in which order, from which place on and which way."""

    where: Condition | None = None
    order: tuple[By, ...] = ()
    at: Place | None = None
    backwards: bool = False


async def listed(
    db: Database, noun: Noun, asked: Asked, limit: int, *, patience: float = TIME_MAX
) -> tuple[list[Row], list[Place]]:
    """Rows in order, whichever way they were walked, and the place of each.

    Raises:
        TooSlow: it took longer than ``patience``, in seconds.
    """
    installations: list[UUID] = []
    if _looks_up_references(noun, asked.where):
        installations = [row["uuid"] for row in await db.fetch(_SQL["installations"])]
    sql, arguments = compiled(noun, asked, limit, installations)
    try:
        async with db.connection() as connection:
            if asked.where is None:
                rows = await connection.fetch(sql, *arguments, timeout=patience)
            else:
                # Planned for these values, which takes half a millisecond: a plan that is kept is one for
                # any, and looks through all payments for the metadata of one.
                planned = await connection.prepare(sql, timeout=patience)
                rows = await planned.fetch(*arguments, timeout=patience)
    except TimeoutError:
        raise TooSlow(TooSlow.__doc__) from None
    names = [f"at_{number}" for number in range(len(ordered(noun, asked.order)))]
    return rows, [tuple(row[name] for name in names) for row in rows]


def grouped(rows: Sequence[Row], places: Sequence[Place], key: str) -> tuple[list[list[Row]], list[Place]]:
    """Rows, of which several in a row are of one ``key``, as one list a key; and the place of each."""
    found = [list(of) for _, of in groupby(zip(rows, places, strict=True), key=lambda one: one[0][key])]
    return [[row for row, _ in of] for of in found], [of[0][1] for of in found]


def compiled(
    noun: Noun, asked: Asked, limit: int, installations: Sequence[UUID] = ()
) -> tuple[str, list[Any]]:
    """The statement and its parameters."""
    order = ordered(noun, asked.order)
    walked = tuple(By(by.column, by.descending != asked.backwards) for by in order)
    where = _Where(noun, installations)
    conditions = [] if asked.where is None else [where.sql(asked.where)]
    if asked.at is not None:
        conditions.append(where.behind(walked, asked.at))
    # Columns hold no braces, so what is filled in is not filled in again.
    filled = {
        "{where}": " AND ".join(conditions) or "true",
        "{order}": _order(noun, walked),
        "{shown}": _order(noun, order),
        "{place}": ", ".join(
            f"{_sorted(noun.columns[by.column])} AS at_{number}" for number, by in enumerate(order)
        ),
        # As it is: for a limit it does not know the planner expects to return a tenth of the table.
        "{limit}": str(int(limit)),
    }
    sql = noun.statement
    for name, text in filled.items():
        sql = sql.replace(name, text)
    return sql, where.arguments


def ordered(noun: Noun, order: tuple[By, ...]) -> tuple[By, ...]:
    """The order in full: what is equal by the columns asked for is told apart, going the same way.

    The same way, so that one index serves both directions and a page costs the same at any depth.
    """
    found = list(order or noun.default)
    named = {by.column for by in found}
    found += [By(column, found[-1].descending) for column in noun.last if column not in named]
    ends = [number for number, by in enumerate(found) if noun.columns[by.column].sql == "r.key"]
    return tuple(found[: ends[0] + 1] if ends else found)


def _looks_up_references(noun: Noun, condition: Condition | None) -> bool:
    match condition:
        case Every(of) | Some(of):
            return any(_looks_up_references(noun, one) for one in of)
        case Not(of):
            return _looks_up_references(noun, of)
        case Compare(column, Operator.MATCH | Operator.IN):
            return noun.columns[column].kind is Kind.REFERENCE
    return False


def _order(noun: Noun, order: Sequence[By]) -> str:
    return ", ".join(f"{_sorted(noun.columns[by.column])}{' DESC' if by.descending else ''}" for by in order)


def _sorted(column: Column) -> str:
    """What a column is ordered by: never NULL, and short enough for a cursor."""
    match column.kind:
        case Kind.PROVIDER:
            return f"(SELECT i.provider FROM installation i WHERE i.id = {column.sql})"
        case Kind.TEXT:
            return f"left({column.sql}, 200)"
        case _ if column.optional:
            return f"coalesce({column.sql}, {_NO_ACCOUNT})"
    return column.sql


class _Where:
    """Collects the parameters of one statement."""

    def __init__(self, noun: Noun, installations: Sequence[UUID]) -> None:
        self._noun = noun
        self._installations = installations
        self.arguments: list[Any] = []

    def add(self, value: Any) -> str:
        """A parameter."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def sql(self, condition: Condition, *, holds: bool = True) -> str:
        """The condition, or its contrary; NULL counts as false in what stands here."""
        match condition:
            case Not(of):
                return self.sql(of, holds=not holds)
            case Every(of) | Some(of):
                both = isinstance(condition, Every) is holds
                return f"({(' AND ' if both else ' OR ').join(self.sql(one, holds=holds) for one in of)})"
            case Compare():
                text = self._compare(condition, holds=holds)
                return text if holds else f"({text}) IS NOT TRUE"
        raise AssertionError("unreachable")  # pragma: no cover

    def behind(self, order: Sequence[By], at: Place) -> str:
        """That a row comes after a place: columns that go the same way are compared as one."""
        first = order[0].descending
        same = next((n for n, by in enumerate(order) if by.descending is not first), len(order))
        columns = [_sorted(self._noun.columns[by.column]) for by in order[:same]]
        values = [
            f"{self.add(value)}::{_TYPES.get(self._noun.columns[by.column].kind, 'text')}"
            for by, value in zip(order[:same], at[:same], strict=True)
        ]
        left, right, sign = f"({', '.join(columns)})", f"({', '.join(values)})", "<" if first else ">"
        if same == len(order):
            return f"{left} {sign} {right}"
        rest = self.behind(order[same:], at[same:])
        # The first half is implied by the second, and is what an index can begin at.
        return f"({left} {sign}= {right} AND ({left} {sign} {right} OR {rest}))"

    def _compare(self, asked: Compare, *, holds: bool) -> str:
        column = self._noun.columns[asked.column]
        match column.kind:
            case Kind.METADATA:
                text = self._metadata(column.sql, asked)
            case _ if asked.operator is Operator.EXISTS:
                text = self._exists(column) if asked.value else f"NOT ({self._exists(column)})"
            case Kind.CONNECTOR:
                text = self._connector(column.sql, asked)
            case Kind.PROVIDER:
                named = self._plain("i.provider", asked, "text")
                text = f"{column.sql} = ANY (ARRAY(SELECT i.id FROM installation i WHERE {named}))"
            case Kind.ACCOUNT | Kind.PAYMENT | Kind.TRANSFER:
                text = self._identity(column, asked)
            case Kind.REFERENCE if holds and asked.operator in (Operator.MATCH, Operator.IN):
                text = f"({self._plain(column.sql, asked, 'text')}{self._keys(asked)})"
            case _:
                text = self._plain(column.sql, asked, _TYPES.get(column.kind, "text"))
        return text

    def _plain(self, sql: str, asked: Compare, of_type: str) -> str:
        if asked.operator is Operator.IN:
            # As text: the driver cannot put its exact integers into an array.
            values = list(asked.value) if of_type != "numeric" else list(map(str, asked.value))
            between = "::text[]" if of_type == "numeric" else ""
            return f"{sql} = ANY ({self.add(values)}{between}::{of_type}[])"
        return f"{sql} {_SIGNS[asked.operator]} {self.add(asked.value)}::{of_type}"

    def _keys(self, asked: Compare) -> str:
        """A reference is found by the key it has under each installation: there is no index of references."""
        references = (asked.value,) if asked.operator is Operator.MATCH else asked.value
        if len(references) * len(self._installations) > _KEYS_MAX:
            return ""
        keys = [
            row_key(installation, self._noun.record, reference)
            for installation in self._installations
            for reference in references
        ]
        return f" AND r.key = ANY ({self.add(keys)}::uuid[])"

    def _exists(self, column: Column) -> str:
        if column.kind in (Kind.TEXT, Kind.WORD, Kind.ASSET, Kind.REFERENCE):
            return f"{column.sql} <> ''"
        return f"{column.sql} IS NOT NULL"

    def _connector(self, sql: str, asked: Compare) -> str:
        if asked.operator is Operator.MATCH:
            uuid, provider = self.add(asked.value.reference), self.add(asked.value.provider)
            # One value and never NULL, so that the index of installations gives the order as well.
            return (
                f"{sql} = coalesce((SELECT i.id FROM installation i"
                f" WHERE i.uuid = {uuid}::uuid AND i.provider = {provider}::text), -1)"
            )
        uuids = self.add([one.reference for one in asked.value])
        providers = self.add([one.provider for one in asked.value])
        return (
            f"{sql} = ANY (ARRAY(SELECT i.id FROM installation i"
            f" JOIN unnest({uuids}::uuid[], {providers}::text[]) AS w (uuid, provider)"
            " USING (uuid, provider)))"
        )

    def _identity(self, column: Column, asked: Compare) -> str:
        parts = (asked.value,) if asked.operator is Operator.MATCH else asked.value
        by_provider: dict[str, list[UUID]] = {}
        for one in parts:
            by_provider.setdefault(one.connector.provider, []).append(key_of(one))
        tests = []
        for provider, keys in by_provider.items():
            found = f"= {self.add(keys[0])}::uuid" if len(keys) == 1 else f"= ANY ({self.add(keys)}::uuid[])"
            tests.append(
                f"{column.sql} {found} AND r.installation = ANY (ARRAY("
                f"SELECT i.id FROM installation i WHERE i.provider = {self.add(provider)}::text))"
            )
        return f"({' OR '.join(tests)})"

    def _metadata(self, sql: str, asked: Compare) -> str:
        if asked.operator is Operator.EXISTS:
            found = f"{sql} ? {self.add(asked.key)}::text"
            return found if asked.value else f"({found}) IS NOT TRUE"
        if asked.operator in (Operator.MATCH, Operator.IN):
            values = (asked.value,) if asked.operator is Operator.MATCH else asked.value
            pairs = [msgspec.json.encode({asked.key: value}).decode() for value in values]
            return f"({' OR '.join(f'{sql} @> {self.add(pair)}::jsonb' for pair in pairs)})"
        return self._plain(f'({sql} ->> {self.add(asked.key)}::text) COLLATE "C"', asked, "text")


def key_of(parts: AccountParts | PaymentParts) -> UUID:
    """The key of the row that an identifier names, whether or not there is one."""
    match parts:
        case PaymentParts():
            kind = "payment"
        case TransferParts():
            kind = "transfer"
        case _:
            kind = "account"
    return row_key(parts.connector.reference, kind, parts.reference)


# Operators that each kind of column understands.
_EQUAL = (Operator.MATCH, Operator.IN, Operator.EXISTS)
_ORDER = (Operator.MATCH, *ORDERED, Operator.IN, Operator.EXISTS)


def operators(kind: Kind) -> tuple[Operator, ...]:
    """What a column of this kind can be asked."""
    if kind in (Kind.CONNECTOR, Kind.ACCOUNT, Kind.PAYMENT, Kind.TRANSFER, Kind.KEY):
        return _EQUAL
    return _ORDER if kind in (Kind.NUMBER, Kind.TIME) else tuple(Operator)
