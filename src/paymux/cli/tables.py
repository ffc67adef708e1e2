"""How answers look: columns for people, JSON for programs.

On a terminal the last column is cut to its width; into a pipe everything goes whole. There are no
colours, and what a provider said cannot move the cursor.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import typer

_GAP = "  "
# A task's arguments may be anything; a line is for telling tasks apart.
_TASK_MAX = 60
# A time is shown to the second.
_SECONDS = len("2026-11-23T01:53:24")


def show_json(data: object) -> None:
    """As the service said it."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=not _speaks_utf8()))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """One line a row under a line of headings."""
    cells = [[cell(value) for value in row] for row in rows]
    lines = [[column.upper() for column in columns], *cells]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        padded = [text.ljust(width) for text, width in zip(line, widths, strict=True)]
        _echo(_GAP.join(padded).rstrip())


def show_list(
    rows: Sequence[Any],
    columns: Sequence[str],
    cells: Callable[[Any], Sequence[object]],
    *,
    more: bool,
    as_json: bool,
) -> None:
    """The rows of a list, and a word to a person where there are more of them."""
    if as_json:
        show_json(rows)
    else:
        show_table(columns, map(cells, rows))
    if more:
        say("There are more: --all shows them.")


def show_fields(fields: Mapping[str, object]) -> None:
    """One line a field."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        _echo(f"{name.ljust(width)}{_GAP}{cell(value)}".rstrip())


def say(sentence: str) -> None:
    """Tell a person something beside the answer."""
    typer.echo(sentence, err=True)


def time(value: str | None) -> str:
    """A time to the second."""
    return f"{value[:_SECONDS]}Z" if value else ""


def task_name(task: Mapping[str, Any]) -> str:
    """What a task's descriptor calls it; the whole descriptor where that is no name."""
    match task["descriptor"]:
        case str(name):
            return name
        case dict() as named if len(named) == 1:
            return str(next(iter(named)))
        case other:
            return json.dumps(other, separators=(",", ":"))


def task_text(task: Mapping[str, Any]) -> str:
    """Its name with what it is given: ``read file=a.json``, cut where that is long."""
    match task["descriptor"]:
        case {**only} if len(only) == 1 and isinstance(given := next(iter(only.values())), dict):
            words = [
                f"{key}={value if isinstance(value, str) else cell(value)}" for key, value in given.items()
            ]
            text = " ".join([task_name(task), *words])
        case _:
            text = task_name(task)
    return text if len(text) <= _TASK_MAX else f"{text[: _TASK_MAX - 1]}…"


def task_status(task: Mapping[str, Any]) -> str:
    """Its status; of one that runs, and of one that somebody paused, that too."""
    if task.get("paused"):
        return f"{task['status']} paused"
    return f"{task['status']} running" if task.get("runningSince") else str(task["status"])


def cell(value: object) -> str:
    """A value as one line of text."""
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case dict() | list():
            text = json.dumps(value, ensure_ascii=False)
        case _:
            text = str(value)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def _echo(line: str) -> None:
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        line = line if len(line) <= width else line[: width - 1] + "…"
    if not _speaks_utf8():
        line = line.encode(sys.stdout.encoding or "ascii", "backslashreplace").decode(sys.stdout.encoding)
    typer.echo(line)


def _speaks_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
