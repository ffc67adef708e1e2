"""Rooms import in one direction; the contracts are in pyproject.toml under tool.importlinter."""

from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

CONFIG = Path(__file__).parents[2] / "pyproject.toml"


def test_every_import_goes_the_right_way(capsys: pytest.CaptureFixture[str]) -> None:
    """The report names the chain of imports: move the code to the room that may know both."""
    status = lint_imports(str(CONFIG), no_cache=True, no_logo=True)

    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out
