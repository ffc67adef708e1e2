"""Filters and orders as clients write them, read into what the lists understand.

``{"$match": {"status": "SUCCEEDED"}}``, ``{"$and": […]}``, ``{"$or": […]}``, ``{"$not": {…}}``: one word an
object, in any nesting. Whatever is wrong with one is said together with what would be right.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from paymux.api.errors import InvalidQuery
from paymux.api.strict_json import NotStrict, strict_json
from paymux.domain.errors import DomainError, shown
from paymux.domain.filter import By, Compare, Condition, Every, Kind, Not, Operator, Some
from paymux.domain.ids import (
    ConnectorID,
    parse_account_id,
    parse_payment_id,
    parse_transfer_id,
    parse_uuid,
)
from paymux.domain.money import Asset
from paymux.domain.times import parse_rfc3339
from paymux.storage.listing import Column, operators

# Characters of a filter. Cursors carry it along in a URL, and URLs have limits everywhere.
FILTER_MAX = 16_384
# Far beyond what anybody writes, and little to a database.
DEPTH_MAX = 16
COMPARISONS_MAX = 100
VALUES_MAX = 100
# Columns of an order.
SORT_MAX = 5
# Longer than any amount there is.
_NUMBER = re.compile(r"-?[0-9]{1,100}")
_KEYED = re.compile(r"metadata\[(.+)\]", re.DOTALL)

Columns = Mapping[str, Column]

_READ: dict[Kind, Callable[[str], Any]] = {
    Kind.TIME: parse_rfc3339,
    Kind.CONNECTOR: ConnectorID.parse,
    Kind.ACCOUNT: parse_account_id,
    Kind.PAYMENT: parse_payment_id,
    Kind.TRANSFER: parse_transfer_id,
    Kind.PROVIDER: str.upper,
    Kind.KEY: partial(parse_uuid, owner="a row"),
}


def decoded(text: str) -> Any:
    """The JSON of a filter.

    Raises:
        InvalidQuery: it is none, or too large, or says one thing twice.
    """
    if len(text) > FILTER_MAX:
        raise InvalidQuery(f"query: longer than {FILTER_MAX} characters; ask in several lists")
    why = ""
    try:
        found = strict_json(text)
    except NotStrict as error:
        found, why = None, f". {error}"
    if not isinstance(found, dict) or not found:
        raise InvalidQuery(f'query: must be JSON such as {{"$match": {{"status": "SUCCEEDED"}}}}{why}')
    return found


def written(wire: Any) -> str:
    """A filter in one form, however it was spaced."""
    return json.dumps(wire, separators=(",", ":"), sort_keys=True)


def read(text: str) -> Any:
    """What ``written`` wrote."""
    return json.loads(text)


def condition(wire: Any, columns: Columns) -> Condition:
    """Read a filter over these columns.

    Raises:
        InvalidQuery: the message says what is allowed.
    """
    return _Reader(columns).read(wire, 1)


def order(texts: Sequence[str], columns: Columns) -> tuple[By, ...]:
    """Read ``column:asc`` and ``column:desc``, several in a row or between commas; without either it is asc.

    Raises:
        InvalidQuery: the message says what is allowed.
    """
    found: list[By] = []
    for text in (one for several in texts for one in several.split(",") if one):
        name, _, way = text.partition(":")
        if name not in sortable(columns):
            raise InvalidQuery(f"sort: {shown(name)} is none of {', '.join(sortable(columns))}")
        if way.lower() not in ("", "asc", "desc"):
            raise InvalidQuery(f"sort: {name}:asc or {name}:desc, not {shown(way)}")
        if name in (by.column for by in found):
            raise InvalidQuery(f"sort: {name} is there twice")
        found.append(By(name, way.lower() == "desc"))
    if len(found) > SORT_MAX:
        raise InvalidQuery(f"sort: by {SORT_MAX} columns at most")
    return tuple(found)


def sortable(columns: Columns) -> list[str]:
    """Columns that a list can be ordered by."""
    return [
        name for name, column in columns.items() if not column.hidden and column.kind is not Kind.METADATA
    ]


class _Reader:
    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._comparisons = 0

    def read(self, wire: Any, depth: int) -> Condition:
        if depth > DEPTH_MAX:
            raise InvalidQuery(f"query: nested more than {DEPTH_MAX} deep")
        if not isinstance(wire, dict) or len(wire) != 1:
            raise InvalidQuery(
                "query: every object has one word and what it is about, such as"
                f' {{"$match": {{"status": "SUCCEEDED"}}}}; several go into $and, not {shown(wire)}'
            )
        ((word, about),) = wire.items()
        match word:
            case "$and":
                return Every(self._several(word, about, depth))
            case "$or":
                return Some(self._several(word, about, depth))
            case "$not":
                return Not(self.read(about, depth + 1))
        if word not in list(Operator):
            raise InvalidQuery(f"query: {shown(word)} is none of {', '.join(Operator)}, $and, $or, $not")
        return self._compare(Operator(word), about)

    def _several(self, word: str, about: Any, depth: int) -> tuple[Condition, ...]:
        if not isinstance(about, list) or not about:
            raise InvalidQuery(f"query: {word} takes a list of one or more")
        return tuple(self.read(one, depth + 1) for one in about)

    def _compare(self, operator: Operator, about: Any) -> Condition:
        if not isinstance(about, dict) or not about:
            raise InvalidQuery(f'query: {operator} takes {{"column": value}}; columns are {self._names()}')
        found = tuple(self._one(operator, name, value) for name, value in about.items())
        return found[0] if len(found) == 1 else Every(found)

    def _one(self, operator: Operator, name: str, value: Any) -> Condition:
        self._comparisons += 1
        if self._comparisons > COMPARISONS_MAX:
            raise InvalidQuery(f"query: more than {COMPARISONS_MAX} comparisons")
        keyed = _KEYED.fullmatch(name)
        column = self._columns.get("metadata" if keyed else name)
        if column is None or column.hidden or (column.kind is Kind.METADATA) is not bool(keyed):
            raise InvalidQuery(f"query: {shown(name)} is none of {self._names()}")
        key = _text("metadata", keyed[1]) if keyed else ""
        name = "metadata" if keyed else name
        if operator not in operators(column.kind):
            raise InvalidQuery(f"query: {name} can be asked by {', '.join(operators(column.kind))}")
        if operator is Operator.EXISTS:
            if not isinstance(value, bool):
                raise InvalidQuery("query: $exists takes true or false")
            return Compare(name, operator, value, key)
        if operator is Operator.IN:
            return self._among(name, column, value, key)
        if column.optional and value == "":  # as it is shown where there is none
            return Compare(name, Operator.EXISTS, False)
        return Compare(name, operator, _value(name, column, operator, value), key)

    def _among(self, name: str, column: Column, value: Any, key: str) -> Condition:
        if not isinstance(value, list) or not 1 <= len(value) <= VALUES_MAX:
            raise InvalidQuery(f"query: $in takes a list of 1 to {VALUES_MAX} values")
        named = [one for one in value if not (column.optional and one == "")]
        values = tuple(_value(name, column, Operator.IN, one) for one in named)
        if len(values) == len(value):
            return Compare(name, Operator.IN, values, key)
        absent = Compare(name, Operator.EXISTS, False)
        return Some((Compare(name, Operator.IN, values, key), absent)) if values else absent

    def _names(self) -> str:
        return ", ".join(
            f"{name}[key]" if column.kind is Kind.METADATA else name
            for name, column in self._columns.items()
            if not column.hidden
        )


def _value(name: str, column: Column, operator: Operator, value: Any) -> Any:
    """A value of the column's kind."""
    if column.kind is Kind.NUMBER:
        return _number(name, value)
    text = _text(name, value)
    if operator is Operator.LIKE:
        # Anything after it is meant; the database refuses one with nothing after it.
        if (len(text) - len(text.rstrip("\\"))) % 2:
            raise InvalidQuery(f"query: {name}: a backslash at the end of a pattern; write two of them")
        return text.upper() if column.kind is Kind.PROVIDER else text
    equal = operator in (Operator.MATCH, Operator.IN)
    if column.words and equal and text not in column.words:
        raise InvalidQuery(f"query: {name}: {shown(text)} is none of {', '.join(column.words)}")
    try:
        if column.kind is Kind.ASSET and equal and text:
            return str(Asset.parse(text))
        found = _READ.get(column.kind, str)(text)
    except DomainError as error:
        raise InvalidQuery(f"query: {name}: {error}") from None
    if column.kind in (Kind.CONNECTOR, Kind.ACCOUNT, Kind.PAYMENT, Kind.TRANSFER):
        _text(name, getattr(found, "connector", found).provider)
    return found


def _number(name: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    # As text too: there are clients whose numbers are not exact.
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise InvalidQuery(f"query: {name} takes a whole number in minor units, not {shown(value)}")
    return int(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidQuery(
            f"query: {name} takes text, not {shown(value)}; where there is none: $exists false"
        )
    if "\0" in value:
        raise InvalidQuery(f"query: {name}: holds a NUL character, which no text here can hold")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidQuery(f"query: {name}: holds half of a surrogate pair, which is no text") from None
    return value
