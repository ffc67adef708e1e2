"""The operators' commands, as somebody at a shell runs them."""

import json
import os
import re
import subprocess
from itertools import pairwise
from typing import Any

from tests.e2e.service import PATIENCE, PAYMUX, Service


class Shell:
    """Runs ``paymux …`` against a service, into pipes."""

    def __init__(self, url: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAYMUX_")}
        self.environment = inherited | {"PAYMUX_URL": url}

    def run(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [PAYMUX, *words],
            input=given,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=PATIENCE,
            check=False,
        )

    def ok(self, *words: str, given: str = "") -> str:
        """What a command that must go well says on standard output."""
        ended = self.run(*words, given=given)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def json(self, *words: str) -> Any:
        """What a command answers with ``--json``."""
        return json.loads(self.ok(*words, "--json"))

    def refused(self, *words: str, code: int = 1, given: str = "") -> str:
        """What a command that must not go well says; it says nothing on standard output."""
        ended = self.run(*words, given=given)
        assert (ended.returncode, ended.stdout) == (code, ""), ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr
        return ended.stderr


def shell_for(service: Service) -> Shell:
    """A shell whose PAYMUX_URL is this service."""
    return Shell(str(service.http.base_url))


def cells(table: str, *columns: str) -> list[tuple[str, ...]]:
    """Columns of a table by their headings."""
    heading, *lines = table.splitlines()
    starts = [match.start() for match in re.finditer(r"(?<=  )\S|^\S", heading)]
    names = [heading[start:end].strip() for start, end in pairwise([*starts, None])]
    rows = [[line[start:end].strip() for start, end in pairwise([*starts, None])] for line in lines]
    return [tuple(row[names.index(column)] for column in columns) for row in rows]
