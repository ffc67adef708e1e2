"""The reference pages tell of everything there is, and of nothing that is gone."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.core import TyperGroup
from typer.main import get_command

import paymux.api.v1
from paymux import sdk
from paymux.api import errors
from paymux.cli import app
from paymux.events.schemas import published
from paymux.events.types import Event, EventType

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs/reference"
WRITINGS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.md")])
LINK = re.compile(r"\[[^\]]+\]\((?![a-z]+:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ROUTE = re.compile(r"^### `([A-Z]+) (/\S+)`$", re.MULTILINE)
COMMAND = re.compile(r"^## `paymux (.+)`$", re.MULTILINE)
SECTION = re.compile(r"^## ([A-Z_]+)$", re.MULTILINE)
# Where cli.md tells of the options that most commands have.
SHARED = "Asking a running service"
# The first cell of a table's row: what stands in it between backticks.
FIRST_CELL = re.compile(r"^\| ((?:`[^`]+`(?:, )?)+) \|", re.MULTILINE)
WORD = re.compile(r"`([\w-]+)[^`]*`")


def _page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text("utf-8")


def _listed(text: str) -> set[str]:
    return {word for cell in FIRST_CELL.findall(text) for word in WORD.findall(cell)}


def _sections(text: str, heading: re.Pattern[str]) -> dict[str, str]:
    parts = heading.split(text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _routes() -> Iterator[tuple[str, str]]:
    for module in pkgutil.iter_modules(paymux.api.v1.__path__, "paymux.api.v1."):
        for handler in importlib.import_module(module.name).HANDLERS:
            for path in handler.paths:
                yield from ((method, _shape(path)) for method in handler.http_methods)


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_every_route_is_in_http_md() -> None:
    """Each has its own heading, such as ``### `GET /payments` ``, with an example."""
    documented = {(method, _shape(path)) for method, path in ROUTE.findall(_page("http"))}

    assert set(_routes()) - documented == set(), (
        "give them a heading and an example in docs/reference/http.md"
    )
    assert documented - set(_routes()) == set(), "these are gone: take them out of docs/reference/http.md"


def test_every_route_has_an_example() -> None:
    """A call that can be copied says more than a description."""
    parts = re.split(r"^##+ ", _page("http"), flags=re.MULTILINE)

    assert [
        part.partition("\n")[0] for part in parts if ROUTE.match(f"### {part}") and "curl" not in part
    ] == []


def test_every_command_is_in_cli_md() -> None:
    """Each command has a section, and each of its options a row."""
    command = get_command(app)
    commands = dict(_commands(command))
    sections = _sections(_page("cli"), COMMAND)
    # Those that most commands have are said once.
    shared = _listed(_sections(_page("cli"), re.compile(r"^## (.+)$", re.MULTILINE))[SHARED])

    assert sections.keys() == commands.keys(), "one section a command in docs/reference/cli.md"
    for name, its in commands.items():
        assert _listed(sections[name].partition("\n## ")[0]) == _options(its) - shared, (
            f"one row for each option of paymux {name} in cli.md"
        )
    assert shared <= set().union(*map(_options, commands.values())), f"gone: take them out of {SHARED!r}"
    assert _listed(_page("cli").partition("\n## ")[0]) == _options(command), (
        "one row for each option in cli.md"
    )


def _commands(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, its in command.commands.items():
        if isinstance(its, TyperGroup):
            yield from _commands(its, f"{path}{name} ")
        else:
            yield path + name, its


def _options(command: Any) -> set[str]:
    """Options by their names, arguments by the word that the help has for them."""
    arguments = {p for p in command.params if p.param_type_name == "argument"}
    options = {name for parameter in {*command.params} - arguments for name in parameter.opts}
    return options - {"--help"} | {re.split(r"\W", argument.metavar)[0] for argument in arguments}


def test_every_event_is_in_events_md() -> None:
    """Each type has a section, and the envelope a row for each field."""
    sections = _sections(_page("events"), SECTION)
    envelope = _sections(_page("events"), re.compile(r"^## (.+)$", re.MULTILINE))["Envelope"]

    assert sections.keys() == set(EventType), "one section for each type in docs/reference/events.md"
    assert _listed(envelope) == {field.encode_name for field in msgspec.structs.fields(Event)}, (
        "one row for each field of the envelope in docs/reference/events.md"
    )


@pytest.mark.parametrize("kind", EventType)
def test_a_payload_is_the_documented_one(kind: EventType) -> None:
    """Whoever writes a consumer writes it from these tables."""
    fields = {field.encode_name for field in msgspec.structs.fields(kind.payload)}

    assert _listed(_sections(_page("events"), SECTION)[kind]) == fields, (
        f"one row for each field of the payload of {kind} in docs/reference/events.md"
    )


def test_published_schemas_are_those_of_the_code() -> None:
    """Whoever generates a consumer generates it from these files."""
    files = {file.name: file.read_text("utf-8") for file in (PAGES / "events").iterdir()}

    assert files == published(), "make schemas writes docs/reference/events"


def test_every_error_code_is_in_errors_md() -> None:
    """A client looks a code up and finds what to do."""
    codes = {value for name, value in vars(errors).items() if name == value}

    assert _listed(_page("errors").partition("## What a connector may raise")[0]) == codes, (
        "one row for each code in docs/reference/errors.md"
    )


def test_every_error_for_authors_is_in_errors_md() -> None:
    """An author picks by the remedy, from one table."""
    documented = _listed(_page("errors").partition("## What a connector may raise")[2])
    raised = {
        name
        for name, kind in vars(sdk).items()
        if inspect.isclass(kind) and issubclass(kind, sdk.ConnectorError)
    }

    assert documented == raised, "one row for each class in docs/reference/errors.md"


@pytest.mark.parametrize("page", WRITINGS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A file that was moved, or a heading that was reworded, takes its links along."""
    wrong = []
    for target, anchor in LINK.findall(page.read_text("utf-8")):
        found = (page.parent / target).resolve() if target else page
        if not found.exists() or (anchor and anchor not in _anchors(found.read_text("utf-8"))):
            wrong.append(f"{target}#{anchor}" if anchor else target)

    assert wrong == [], f"mend these links in {page.relative_to(ROOT)}"


def _anchors(text: str) -> set[str]:
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}
