"""The operators' commands that change an installation: its config, a reset, a replay of records."""

import json
import re
from pathlib import Path

import pytest
from tests.e2e.operator_commands import Shell, shell_for
from tests.e2e.service import Service, eventually, payment_file


@pytest.fixture
def shell(service: Service) -> Shell:
    return shell_for(service)


def test_a_config_is_changed(shell: Shell, directory: Path) -> None:
    """A field by name, the rest and its secrets stay; or the whole of it."""
    config = {"directory": str(directory), "name": "changing", "passphrase": "open sesame"}
    shell.ok("connectors", "install", "harbour", "--config", "-", given=json.dumps(config))

    changed = shell.run("connectors", "update-config", "changing", "pollingPeriod=7s")
    assert (changed.returncode, changed.stderr) == (0, "changing has a new config.\n")
    shown = shell.json("connectors", "config", "changing")
    assert (shown["pollingPeriod"], shown["passphrase"]) == ("7s", "********")

    shown.pop("provider")
    whole = json.dumps(shown | {"pollingPeriod": "9s"})
    shell.ok("connectors", "update-config", "changing", "--config", "-", given=whole)
    assert shell.json("connectors", "config", "changing")["pollingPeriod"] == "9s"
    said = shell.refused("connectors", "update-config", "changing", "pollingPeriod=never")
    assert said.startswith("paymux: pollingPeriod: ")


def test_an_installation_is_reset(service: Service, shell: Shell, directory: Path) -> None:
    """Under the same id it reads everything again."""
    (directory / "a.json").write_text(payment_file("a"))
    connector = service.install(directory=str(directory), name="again")
    eventually(lambda: service.payments(connector), lambda: service.tasks(connector))
    (directory / "a.json").unlink()

    assert shell.run("connectors", "reset", "again").stderr == "again is being reset.\n"

    eventually(lambda: not service.payments(connector), lambda: service.payments(connector))
    (directory / "b.json").write_text(payment_file("b"))
    eventually(
        lambda: [payment["reference"] for payment in service.payments(connector)] == ["b"],
        lambda: service.tasks(connector),
    )


def test_set_aside_records_are_replayed(service: Service, shell: Shell, directory: Path) -> None:
    """One by its id, which may still make no sense; or all of an installation."""
    (directory / "bad.json").write_text("{}")
    connector = service.install(directory=str(directory), name="replaying")
    (record,) = eventually(lambda: service.set_aside(connector), lambda: service.tasks(connector))

    said = shell.refused("set-aside", "replay", record["id"], "--connector", "replaying")
    assert said.startswith("paymux: ")
    assert "bad.json" in said
    every = shell.run("set-aside", "replay", "--all", "--connector", "replaying")
    assert every.returncode == 0
    assert re.fullmatch(r"\d+ records of replaying are being replayed\.\n", every.stderr)
    assert shell.refused("set-aside", "replay", record["id"][:-1], "--connector", "replaying")
