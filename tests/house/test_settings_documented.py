"""Every setting is documented, with its default, and nothing else is."""

import re
from pathlib import Path

from paymux.settings import PREFIX, Settings

PAGE = Path(__file__).parents[2] / "docs/reference/settings.md"
ROW = re.compile(r"^\| `(?P<variable>\w+)` \| (?P<default>[^|]+) \| (?P<meaning>[^|]+) \|$", re.MULTILINE)

DOCUMENTED = {row["variable"]: row for row in ROW.finditer(PAGE.read_text("utf-8"))}
SETTINGS = {f"{PREFIX}{name.upper()}": field for name, field in Settings.model_fields.items()}


def test_every_setting_is_documented() -> None:
    """A setting that is not on the page does not exist for the operator: add its row."""
    assert SETTINGS.keys() - DOCUMENTED.keys() == set()


def test_nothing_is_documented_that_is_gone() -> None:
    """A row for a setting that no longer exists sends people looking: remove it."""
    assert DOCUMENTED.keys() - SETTINGS.keys() == set()


def test_the_defaults_are_the_documented_ones() -> None:
    """The page says what happens when nothing is set."""
    shown = {
        variable: "none" if field.default is None else f"`{field.default}`"
        for variable, field in SETTINGS.items()
    }

    assert {variable: row["default"] for variable, row in DOCUMENTED.items()} == shown


def test_every_setting_describes_itself() -> None:
    """The class says in a sentence what each one means."""
    assert [
        variable for variable, field in SETTINGS.items() if not (field.description or "").endswith(".")
    ] == []
