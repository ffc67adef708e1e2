"""Reads the .sql files: every statement has a name and stands under the comment that explains it."""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def statements(noun: str) -> dict[str, str]:
    """All statements of ``queries/<noun>.sql`` by name."""
    text = (files("paymux.storage") / "queries" / f"{noun}.sql").read_text("utf-8")
    parts = _NAME.split(text)
    return {name: body.strip().rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def scripts(folder: str) -> list[tuple[str, str]]:
    """Name and text of every script in ``folder`` (migrations, functions), in order of name."""
    found = [f for f in (files("paymux.storage") / folder).iterdir() if f.name.endswith(".sql")]
    return [(f.name.removesuffix(".sql"), f.read_text("utf-8")) for f in sorted(found, key=lambda f: f.name)]
