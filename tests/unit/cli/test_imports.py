"""What a command imports: nobody waits for rooms that the command does not enter."""

import socket
import subprocess
import sys

import pytest

# The last line is all that was imported, whichever way the command ends.
PROGRAM = """\
import atexit, sys
atexit.register(lambda: print("\\n", *sys.modules))
from paymux.cli import main
main()
"""
# What only the service works with.
ENGINES = {
    "asyncpg", "cryptography", "litestar", "msgspec", "opentelemetry", "pgqueuer", "prometheus_client",
    "pydantic_settings", "schwifty", "structlog", "uvicorn", "uvloop",
}  # fmt: skip


def imported(*words: str) -> tuple[str, set[str]]:
    """What a command says to a person, and the modules that are there when it ends."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False
    )
    return ended.stderr, set(ended.stdout.splitlines()[-1].split())


def rooms(modules: set[str]) -> set[str]:
    """Those of paymux beside the commands."""
    return {name for name in modules if name.startswith("paymux.") and name.split(".")[1] != "cli"}


@pytest.mark.parametrize("words", ["--version", "--help", "transfers --help"])
def test_what_a_command_is_for_is_said_at_once(words: str) -> None:
    """By the words alone, with nothing that asks or serves."""
    said, modules = imported(*words.split())

    assert said == ""
    assert "paymux.cli.transfers" in modules
    assert (ENGINES | {"httpx"}) & modules == set()
    assert rooms(modules) == set()


@pytest.mark.parametrize(
    "words",
    [
        "connectors list",
        "tasks list",
        "set-aside list",
        "transfers list",
        "events list",
        "events requeue --all --sink x",
        "health",
    ],
)
def test_whoever_asks_the_service_does_not_import_it(words: str) -> None:
    """They may ask in a loop, or on a machine that is busy with the service."""
    with socket.socket() as nobody:  # has a port, and does not listen
        nobody.bind(("127.0.0.1", 0))
        said, modules = imported(*words.split(), "--url", f"http://127.0.0.1:{nobody.getsockname()[1]}")

    assert said.startswith("paymux: Nothing answers at ")
    assert "httpx" in modules
    assert ENGINES & modules == set()
    assert rooms(modules) == set()


@pytest.mark.parametrize("words", ["serve --help", "worker --help", "migrate --help", "sandbox --help"])
def test_asking_how_to_run_the_service_does_not_import_it(words: str) -> None:
    """The help is the command's own."""
    _, modules = imported(*words.split())

    assert ENGINES & modules == set()
    assert rooms(modules) == set()


def test_making_a_token_takes_what_makes_tokens() -> None:
    """And neither the interface that reads them nor anything below."""
    _, modules = imported("token", "new", "x")

    assert {room.split(".")[1] for room in rooms(modules)} == {"api"}
    assert (ENGINES - {"msgspec"}) & modules == set()
