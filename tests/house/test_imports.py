"""Rooms import in one direction; the contracts are in pyproject.toml under tool.importlinter."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_import_goes_the_right_way() -> None:
    """The report names the chain of imports: move the code to the room that may know both."""
    # A process of its own: the linter sets up logging anew, and would leave it so for other tests.
    linted = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert linted.returncode == 0, linted.stdout + linted.stderr
