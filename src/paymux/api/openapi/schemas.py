"""The shapes of bodies and answers as JSON Schema, with what their words mean and an example of each."""

from collections.abc import Sequence
from typing import Any

import msgspec

from paymux.api.openapi.vocabulary import FREE, field

_TEMPLATE = "#/components/schemas/{name}"
_PREFIX = _TEMPLATE.format(name="")


class Schemas:
    """The schemas of some types, and those added by name."""

    def __init__(self, types: Sequence[Any]) -> None:
        self._types = list(types)
        found, self._components = msgspec.json.schema_components(self._types, ref_template=_TEMPLATE)
        self._found = list(found)
        for name, schema in self._components.items():
            _explained(name, schema)

    def of(self, wanted: Any) -> dict[str, Any]:
        """The schema of one of the types."""
        return dict(self._found[self._types.index(wanted)])

    def add(self, name: str, schema: dict[str, Any]) -> None:
        """Add one that no type has."""
        self._components[name] = schema

    def components(self) -> dict[str, Any]:
        """Those with a name."""
        return {**dict(sorted(self._components.items())), "Error": ERROR}

    def example(self, schema: dict[str, Any], name: str = "") -> Any:
        """What fits a schema, said with the words of the vocabulary."""
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(_PREFIX)
            return FREE.get(name) or self.example(self._components[name], name)
        for several in ("examples", "enum"):
            if several in schema:
                return schema[several][0]
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return self.example(schema[several][0], name)
        if "properties" in schema:
            return {key: self.example(inner, name) for key, inner in schema["properties"].items()}
        return self._plain(schema, name)

    def _plain(self, schema: dict[str, Any], name: str) -> Any:
        match schema.get("type"):
            case "array":
                return [self.example(schema["items"], name)] if schema.get("items") else []
            case "object":
                inner = schema.get("additionalProperties")
                return {"…": self.example(inner, name)} if isinstance(inner, dict) else {}
            case "boolean":
                return False
            case "integer" | "number":
                return schema.get("minimum", 0)
        return ""


def page(row: dict[str, Any]) -> dict[str, Any]:
    """A page of such rows."""
    text = {"type": "string", "examples": ["hQ3…"]}
    cursor = {
        "type": "object",
        "required": ["pageSize", "hasMore", "data"],
        "properties": {
            "pageSize": {"type": "integer", "examples": [15]},
            "hasMore": {"type": "boolean"},
            "previous": {**text, "description": "The cursor of the page before; absent where there is none."},
            "next": {**text, "description": "The cursor of the page after; absent where there is none."},
            "data": {"type": "array", "items": row},
        },
    }
    return {"type": "object", "required": ["cursor"], "properties": {"cursor": cursor}}


def _explained(name: str, schema: dict[str, Any]) -> None:
    """Say of each field what it means, and show one."""
    for key, inner in schema.get("properties", {}).items():
        word = field(name, key)
        if word is None:
            continue
        inner.setdefault("description", word.meaning)
        if "$ref" not in inner and "enum" not in inner:
            inner.setdefault("examples", [word.example])
        if word.format:
            for one in (inner, *inner.get("anyOf", ())):
                if one.get("type") == "string":
                    one["format"] = word.format


ERROR: dict[str, Any] = {
    "title": "Error",
    "description": "What went wrong.",
    "type": "object",
    "required": ["errorCode", "errorMessage"],
    "properties": {
        "errorCode": {"type": "string"},
        "errorMessage": {"type": "string"},
        "details": {"description": "What is wrong, by field."},
    },
}
_explained("Error", ERROR)
