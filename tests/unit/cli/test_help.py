"""What the commands say of themselves."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from paymux.cli import app


def commands(command: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command, with the words it is called by; a group of them has ``commands``."""
    yield words, command
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, *words, name)


ALL = dict(commands(typer.main.get_command(app)))
GROUPS = [words for words, one in ALL.items() if hasattr(one, "commands")]
# The others make something here.
ASKING = [words for words in ALL if len(words) == 2 and words[0] != "token"]


@pytest.mark.parametrize("words", GROUPS, ids="-".join)
def test_no_line_of_a_list_of_commands_is_cut(words: tuple[str, ...]) -> None:
    """Each command in a sentence that fits, on the narrowest of terminals."""
    said = CliRunner().invoke(app, [*words, "--help"], terminal_width=80).stdout.partition("Commands:")[2]

    assert said.strip()
    assert [line for line in said.splitlines() if line.endswith("...")] == []


@pytest.mark.parametrize("words", ASKING, ids="-".join)
def test_whatever_asks_a_service_can_answer_in_json(words: tuple[str, ...]) -> None:
    """So that a program need not know which of them do."""
    assert {"--json", "--url"} <= {option for one in ALL[words].params for option in one.opts}
