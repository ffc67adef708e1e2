"""JSON Schemas of events, made from their payloads; ``make schemas`` writes them to docs/reference/events."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from paymux.events.types import APP, VERSION, Event, EventType

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: EventType) -> dict[str, Any]:
    """The schema of events of one type, envelope and payload."""
    (envelope,), parts = msgspec.json.schema_components((Event[kind.payload],))  # type: ignore[name-defined]  # made at run time
    name = envelope["$ref"].rpartition("/")[2]
    properties = parts[name]["properties"] | {
        "app": {"const": APP},
        "version": {"const": VERSION},
        "type": {"const": str(kind)},
    }
    return {
        "$schema": _DIALECT,
        "title": str(kind),
        "description": kind.payload.__doc__,
        **{key: value for key, value in parts[name].items() if key not in {"title", "description"}},
        "properties": properties,
        "$defs": {part: its for part, its in parts.items() if part != name},
    }


def schemas() -> dict[str, dict[str, Any]]:
    """The schemas of all types of events, by type."""
    return {str(kind): schema(kind) for kind in EventType}


def published() -> dict[str, str]:
    """Names and contents of the files under docs/reference/events."""
    encoded = {kind: msgspec.json.encode(content) for kind, content in schemas().items()}
    return {f"{kind}.json": f"{msgspec.json.format(text).decode()}\n" for kind, text in encoded.items()}


if __name__ == "__main__":
    for file, content in published().items():
        Path(sys.argv[1], file).write_text(content, "utf-8")
