"""The filters and orders of a list, as JSON Schema: every column by every operator that it knows."""

from typing import Any

from paymux.api import filters
from paymux.api.filters import Columns
from paymux.domain.filter import Kind, Operator
from paymux.storage.listing import Column, operators

_VALUES: dict[Kind, dict[str, Any]] = {
    Kind.NUMBER: {"type": ["integer", "string"], "examples": [100], "pattern": "^-?[0-9]+$"},
    Kind.TIME: {"type": "string", "format": "date-time", "examples": ["2019-05-15T14:00:00Z"]},
    Kind.ASSET: {"type": "string", "examples": ["EUR/2"]},
    Kind.PROVIDER: {"type": "string", "examples": ["EXAMPLE"]},
}


def filter_schema(columns: Columns, itself: str) -> dict[str, Any]:
    """A filter over these columns; ``itself`` is where it will be found, since filters hold filters."""
    inner = {"$ref": itself}
    several = {"type": "array", "items": inner, "minItems": 1}
    words: dict[str, Any] = {"$and": several, "$or": several, "$not": inner}
    for operator in Operator:
        named, keyed = {}, None
        for name, column in columns.items():
            if column.hidden or operator not in operators(column.kind):
                continue
            if column.kind is Kind.METADATA:
                keyed = _value(column, operator)
            else:
                named[name] = _value(column, operator)
        words[operator] = {"type": "object", "minProperties": 1, "properties": named}
        words[operator]["additionalProperties"] = False
        if keyed:
            words[operator]["patternProperties"] = {r"^metadata\[.+\]$": keyed}
    return {
        "type": "object",
        "description": "One word and what it is about; what holds several is said by `$and`.",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": words,
    }


def filter_example(columns: Columns) -> dict[str, Any]:
    """What a filter looks like."""
    for name, column in columns.items():
        if column.words or column.kind is Kind.ASSET:
            return {"$match": {name: column.words[-1] if column.words else "EUR/2"}}
    return {"$exists": {next(name for name, column in columns.items() if not column.hidden): True}}


def filter_text(columns: Columns) -> str:
    """Which columns there are, and what each is asked by."""
    rows = [
        f"- `{name}{'[key]' if column.kind is Kind.METADATA else ''}` ({_kind(column)}):"
        f" {' '.join(operators(column.kind))}"
        for name, column in columns.items()
        if not column.hidden
    ]
    said = (
        "Which rows: a filter as JSON. The same JSON in a body does as well; only one of both is sent."
        f" It has {filters.FILTER_MAX} characters, {filters.COMPARISONS_MAX} comparisons and"
        f" {filters.DEPTH_MAX} levels at most."
    )
    return "\n".join([said, "", *rows])


def sort_parameter(columns: Columns) -> dict[str, Any]:
    """The order of a list."""
    names = filters.sortable(columns)
    one = f"({'|'.join(names)})(:(asc|desc))?"
    return {
        "name": "sort",
        "in": "query",
        "description": f"The order: `column:asc` or `column:desc`, {filters.SORT_MAX} at most, of"
        f" {', '.join(f'`{name}`' for name in names)}. Newest first unless told otherwise.",
        "schema": {"type": "array", "maxItems": filters.SORT_MAX, "items": _text(one)},
        "example": ["createdAt:asc"],
    }


def _text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern}$"}


def _kind(column: Column) -> str:
    return ", ".join(column.words) if column.words else column.kind.value


def _value(column: Column, operator: Operator) -> dict[str, Any]:
    if operator is Operator.EXISTS:
        return {"type": "boolean"}
    value = dict(_VALUES.get(column.kind, {"type": "string"}))
    if operator is Operator.LIKE:
        return {"type": "string"}
    if column.words and operator in (Operator.MATCH, Operator.IN):
        value["enum"] = list(column.words)
    if operator is Operator.IN:
        return {"type": "array", "items": value, "minItems": 1, "maxItems": filters.VALUES_MAX}
    return value
