"""How answers look."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.cli.connectors import _with
from paymux.cli.tables import cell, show_table, task_name, task_status, task_text, time


@given(st.text())
def test_a_cell_is_one_printable_line(text: str) -> None:
    """Whatever a provider says; what was escaped can be told."""
    shown = cell(text)

    assert shown.isprintable()
    assert text.isprintable() is (shown == text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, ""), (True, "yes"), (False, "no"), (0, "0"), ([], "[]"), ({"a": 1}, '{"a": 1}'), ("a\n", "a\\n")],
)  # fmt: skip
def test_values_are_shown_for_people(value: object, shown: str) -> None:
    assert cell(value) == shown


def test_columns_are_as_wide_as_their_widest(capsys: pytest.CaptureFixture[str]) -> None:
    """And a line ends with its last word."""
    show_table(("id", "what"), [("longer", "x"), ("s", "")])

    assert capsys.readouterr().out == "ID      WHAT\nlonger  x\ns\n"


@pytest.mark.parametrize(
    ("descriptor", "name"),
    [("directory", "directory"), ({"file": {"name": "a"}}, "file"), (["a", 1], '["a",1]'), ({}, "{}")],
)
def test_a_task_is_called_as_its_descriptor_says(descriptor: object, name: str) -> None:
    assert task_name({"descriptor": descriptor}) == name


@pytest.mark.parametrize(("descriptor", "text"), [
    ("directory", "directory"), ({"read": {"file": "a b.json", "n": 1}}, "read file=a b.json n=1"),
    ({"scan": {}}, "scan"), ({"odd": [1]}, "odd"), (["a", 1], '["a",1]'),
    ({"read": {"file": "x" * 99}}, f"read file={'x' * 49}…"),
])  # fmt: skip
def test_tasks_of_one_name_are_told_apart_by_what_they_are_given(descriptor: object, text: str) -> None:
    """As far as fits into a column."""
    assert task_text({"descriptor": descriptor}) == text


def test_a_status_says_what_else_is_to_know() -> None:
    assert task_status({"status": "ACTIVE", "runningSince": "2026-11-23T01:53:24Z"}) == "ACTIVE running"
    assert task_status({"status": "STOPPED", "paused": True, "runningSince": None}) == "STOPPED paused"
    assert task_status({"status": "FAILED", "paused": False}) == "FAILED"


def test_a_time_is_shown_to_the_second() -> None:
    assert time("2026-11-23T01:53:24.690372Z") == "2026-11-23T01:53:24Z"
    assert time("2026-11-23T01:53:24Z") == "2026-11-23T01:53:24Z"
    assert time(None) == ""


KEYS = st.text("abc", min_size=1, max_size=2)


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, st.one_of(st.integers(), st.booleans(), st.text()))))
def test_a_config_can_be_given_field_by_field(config: dict[str, dict[str, object]]) -> None:
    """Sections by their dots, what is no text by its JSON; what else was there stays."""
    pairs = [
        f"{section}.{key}={value}" if isinstance(value, str) else f"{section}.{key}:={json.dumps(value)}"
        for section, fields in config.items()
        for key, value in fields.items()
    ]

    made = _with(pairs, {"kept": 1})

    assert made == {name: fields for name, fields in config.items() if fields} | {"kept": 1}
