"""The tutorial is true: every block of it is carried out, in order, against a running service.

``python`` and ``toml`` blocks are files, named in their first line; ``sh`` blocks are run; a ``json`` block
is what the request before it answers, sooner or later, as far as it is shown; a ``text`` block is in the log.
``…`` stands for anything.
"""

import base64
import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.reading import PATIENCE, compare, eventually, like

from paymux.runtime.injection import bound

PAGE = Path(__file__).parents[2] / "docs/tutorial/first-connector.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
# The reader's own set-up, which whoever runs this test has behind him.
DONE = "make setup\nsource .venv/bin/activate"


class Reader:
    """Does what the tutorial says, with the directory, the port and the database of a test."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.package = folder / "paymux-inbox"
        self.log = folder / "log"
        self.url = ""
        self.connector_id = ""
        self.ask: Callable[[], Any] = dict
        self._service: subprocess.Popen[str] | None = None
        # The metadata comes from the installed package, the code from the folder that is edited.
        path = os.pathsep.join((str(self.package), str(folder / "site")))
        self._env = os.environ | {
            "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PAYMUX_DATABASE_URL": database_url,
            "PAYMUX_ENCRYPTION_KEYS": base64.b64encode(bytes(32)).decode(), "PAYMUX_PORT": "0",
        }  # fmt: skip

    def follow(self, language: str, body: str) -> None:
        """Carry out one block."""
        body = body.replace("/tmp/inbox", str(self.folder / "inbox"))  # noqa: S108 - what is replaced
        match language, body:
            case "sh", "pip install -e .":
                self._install()
            case "sh", "paymux serve":
                self.stop()
                self._serve()
            case "sh", _ if body != DONE:
                self._type(body)
            case "json", _:
                eventually(lambda: compare(json.loads(body), self.ask()))
            case "text", _:
                eventually(lambda: None if like(body, self.log.read_text()) else f"the log has no {body}")
            case "python" | "toml", _:
                (self.package / body.partition("\n")[0].removeprefix("# ")).write_text(f"{body}\n")

    def stop(self) -> None:
        """Press Ctrl-C."""
        if self._service is not None:
            self._service.send_signal(signal.SIGINT)
            try:
                self._service.communicate(timeout=PATIENCE)
            finally:
                self._service.kill()
            assert self._service.returncode == 0
            self._service = None

    def _install(self) -> None:
        subprocess.run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index",
             "--no-deps", "--no-build-isolation", "--target", self.folder / "site", self.package],
            check=True,
        )  # fmt: skip

    def _serve(self) -> None:
        with self.log.open("a") as log:
            self._service = subprocess.Popen(
                [sys.executable, "-m", "paymux", "serve"], cwd=self.folder, env=self._env, text=True,
                stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self._service.stdout is not None
        self.url = next(line for line in self._service.stdout if "is ready" in line).split()[-1]

    def _type(self, body: str) -> None:
        before, _, last = body.rpartition("\n")
        request = shlex.split(last) if last.startswith("curl ") else []
        commands = (before if request else body).replace("ID=…", f"ID={self.connector_id}")
        where = self.package if self.package.exists() else self.folder
        subprocess.run(["bash", "-euc", commands], cwd=where, check=True)
        if not request:
            return
        url = request[1].replace("localhost:8080", self.url).replace("$ID", self.connector_id)
        options = dict(zip(request[2::2], request[3::2], strict=True))
        method = options.get("-X", "GET")
        if method == "GET":
            self.ask = lambda: httpx.get(url).raise_for_status().json()
            return
        answer = httpx.request(method, url, content=options.get("-d"))
        shown = answer.json() if answer.content else {}
        self.ask = lambda: shown
        self.connector_id = shown.get("data", {}).get("connectorID", self.connector_id)


@pytest.fixture
def reader(tmp_path: Path, database_url: str) -> Iterator[Reader]:
    """Somebody at the beginning of the tutorial."""
    somebody = Reader(tmp_path, database_url)
    yield somebody
    somebody.stop()


def test_the_tutorial_works_as_written(reader: Reader) -> None:
    """Whoever follows it sees what it shows; and the connector without ``@task`` can be run as well."""
    text = PAGE.read_text("utf-8")
    for block in BLOCK.finditer(text):
        try:
            reader.follow(block[1], block[2])
        except Exception as error:
            line = text.count("\n", 0, block.start()) + 1
            error.add_note(f"{PAGE.name}, line {line}: mend what happens here, or what the tutorial says")
            raise

    assert httpx.get(f"{reader.url}/connectors").json() == {"data": []}
    assert _can_be_run(reader.package)


def _can_be_run(package: Path) -> bool:
    sys.path.insert(0, str(package))
    try:
        by_hand = importlib.import_module("paymux_inbox.by_hand").InboxByHand
        config = by_hand.config_class(directory=package)
        return all(callable(bound(by_hand(config).resolve(each))) for each in ("directory", "a.json"))
    finally:
        sys.path.remove(str(package))
        for name in [name for name in sys.modules if name.partition(".")[0] == "paymux_inbox"]:
            del sys.modules[name]
