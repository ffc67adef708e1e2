"""The how-to about moving money is true: every command works in turn, and answers what is shown."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import ROOT, running
from tests.e2e.reading import compare, eventually
from tests.e2e.service import PATIENCE, Service

from paymux.sandbox.server import Sandbox

PAGE = ROOT / "docs/how-to/move-money.md"
BLOCK = re.compile(r"^( *)```(sh|json)\n(.*?)\n *```$", re.MULTILINE | re.DOTALL)
SERVE = re.compile(r"((?:PAYMUX_\w+=\S+ )*)paymux serve")
# What the page says where to find, by its name there.
WORD = re.compile(r"([A-Z]+)=…")


class Reader:
    """Types the commands, keeps what is to be kept, and looks at the last answer until it is as shown."""

    def __init__(self, service: Service, sandbox: str) -> None:
        self._here = {
            "http://127.0.0.1:8090": sandbox,
            "localhost:8090": sandbox,
            "localhost:8080": str(service.http.base_url),
        }
        self._words: dict[str, str] = {}
        self._last = ""
        self._answer: Any = {}

    def follow(self, language: str, text: str) -> None:
        """Carry out one block."""
        if language == "json":
            shown = json.loads(text)
            eventually(lambda: compare(shown, self._asked_again(shown)))
            return
        for command in re.split(r"\n(?=curl |[A-Z]+=…)", text):
            if word := WORD.fullmatch(command):
                self._words[word[1]] = self._found()
            else:
                self._last = command
                self._answer = self._typed(command)

    def _asked_again(self, shown: Any) -> Any:
        # A question may be asked again until the answer is as shown; an order may not.
        if " -d " not in self._last and compare(shown, self._answer):
            self._answer = self._typed(self._last)
        return self._answer

    def _found(self) -> str:
        """An identifier in the last answer; accounts come in a moment after the installation."""

        def problem() -> str | None:
            if self._answer.get("cursor", {}).get("data") == []:
                self._answer = self._typed(self._last)
                return f"{self._last} finds nothing"
            return None

        eventually(problem)
        (found,) = self._answer["cursor"]["data"] if "cursor" in self._answer else [self._answer["data"]]
        return str(found.get("connectorID" if found.keys() == {"connectorID"} else "id"))

    def _typed(self, command: str) -> Any:
        for there, address in self._here.items():
            command = command.replace(there, address)
        ended = subprocess.run(
            ["bash", "-euc", command.replace("curl ", "curl -sS ", 1)], env=os.environ | self._words,
            capture_output=True, text=True, check=True, timeout=PATIENCE,
        )  # fmt: skip
        return json.loads(ended.stdout or "{}")


@pytest.fixture
def paying(tmp_path: Path) -> Iterator[Service]:
    """A service as the page says to start it."""
    started = SERVE.search(PAGE.read_text("utf-8"))
    assert started is not None
    yield from running(Service(tmp_path, **dict(word.split("=") for word in started[1].split())))


def test_the_how_to_works_as_written(paying: Service) -> None:
    """From the first to the last block."""
    text = PAGE.read_text("utf-8")
    with Sandbox() as sandbox:
        reader = Reader(paying, sandbox.url)
        followed = 0
        for block in BLOCK.finditer(text):
            if block[3].endswith(("paymux sandbox", "paymux serve")):
                continue
            try:
                reader.follow(block[2], block[3].replace(f"\n{block[1]}", "\n").removeprefix(block[1]))
            except Exception as error:
                line = text.count("\n", 0, block.start()) + 1
                error.add_note(f"{PAGE.name}, line {line}: mend what happens here, or what the page says")
                raise
            followed += 1

        orders = sandbox.books()["orders"]
        paid = {reference: (order["paid"], order["amount"]) for reference, order in orders.items()}
    assert paid == {
        "rent-2024-05": (1, 1250), "rent-2024-05-back": (1, 250), "lost": (1, 500), "astray": (1, 700)
    }  # fmt: skip
    assert followed == text.count("```") // 2 - 2
