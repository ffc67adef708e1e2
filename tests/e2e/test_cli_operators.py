"""The operators' commands that step in: tasks and installations are paused, resumed, run."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.operator_commands import Shell, cells, shell_for
from tests.e2e.service import Service, eventually, payment_file


@pytest.fixture
def shell(service: Service) -> Shell:
    return shell_for(service)


def _task(service: Service, connector: str, **wanted: object) -> dict[str, Any]:
    """The task that looks at the directory, once it is as wanted."""

    def look() -> dict[str, Any] | None:
        found = [task for task in service.tasks(connector) if task["descriptor"] == "directory"]
        matching = [task for task in found if wanted.items() <= task.items()]
        return matching[0] if matching else None

    return eventually(look, lambda: service.tasks(connector))


def test_a_task_is_paused_and_resumed(service: Service, shell: Shell, directory: Path) -> None:
    """By its name or its id; while it is paused it does not run, and cannot be told to."""
    connector = service.install(directory=str(directory), name="pausing")
    task = _task(service, connector)
    at = ("--connector", "pausing")

    paused = shell.run("tasks", "pause", "directory", *at)
    assert (paused.returncode, paused.stdout) == (0, "")
    assert paused.stderr == "directory of pausing is STOPPED paused.\n"
    assert _task(service, connector, status="STOPPED")["paused"] is True
    assert cells(shell.ok("tasks", "list", *at), "ID", "STATUS") == [(task["id"], "STOPPED paused")]
    assert shell.refused("tasks", "run", task["id"]).startswith("paymux: ")
    (directory / "a.json").write_text(payment_file("a"))
    before = _runs(shell, task["id"])
    time.sleep(2)
    assert _runs(shell, task["id"]) == before
    assert service.payments(connector) == []

    assert shell.json("tasks", "resume", task["id"])["paused"] is False
    eventually(lambda: service.payments(connector), lambda: service.tasks(connector))


def _runs(shell: Shell, task: str) -> int:
    return len(shell.json("tasks", "runs", task, "--all"))


def test_a_task_is_run_now_and_its_runs_are_listed(service: Service, shell: Shell, directory: Path) -> None:
    """Long before its period is over."""
    connector = service.install(directory=str(directory), name="running", pollingPeriod="1h")
    task = _task(service, connector, runningSince=None, status="ACTIVE")
    eventually(lambda: _runs(shell, task["id"]) == 1, lambda: service.tasks(connector))
    (directory / "a.json").write_text(payment_file("a"))

    shell.ok("tasks", "run", "directory", "--connector", "running")

    eventually(lambda: service.payments(connector), lambda: service.tasks(connector))
    eventually(lambda: _runs(shell, task["id"]) == 2, lambda: service.tasks(connector))
    outcomes = cells(shell.ok("tasks", "runs", task["id"]), "OUTCOME", "SET ASIDE")
    assert outcomes == [("SUCCEEDED", "0")] * 2


def test_tasks_of_all_installations_are_filtered(service: Service, shell: Shell, directory: Path) -> None:
    """By status, by name, by installation."""
    one = service.install(directory=str(directory), name="filter one")
    other = service.install(directory=str(directory / "missing"), name="filter two")
    failed = _task(service, other, status="FAILED")
    well = _task(service, one, status="ACTIVE")

    def ids(*words: str) -> set[str]:
        return {task["id"] for task in shell.json("tasks", "list", "--all", *words)}

    assert {failed["id"], well["id"]} <= ids()
    assert failed["id"] in ids("--status", "failed")
    assert well["id"] not in ids("--status", "FAILED")
    assert ids("--name", "directory", "--connector", "filter two") == {failed["id"]}
    assert ids("--name", "nothing") == set()
    assert "Several tasks are called directory" in shell.refused("tasks", "show", "directory")
    assert "no task called nothing" in shell.refused("tasks", "show", "nothing")
    shown = cells(
        shell.ok("tasks", "list", "--status", "FAILED", "--connector", "filter two"), "INSTALLATION"
    )
    assert shown == [("filter two",)]


def test_what_does_not_run_cannot_be_cancelled(service: Service, shell: Shell, directory: Path) -> None:
    """It is said so in a sentence, with status 1; the task stays as it is."""
    connector = service.install(directory=str(directory), name="cancelling", pollingPeriod="1h")
    task = _task(service, connector, runningSince=None, status="ACTIVE")

    assert shell.refused("tasks", "cancel", task["id"]).startswith("paymux: ")
    assert _task(service, connector)["status"] == "ACTIVE"


def test_an_installation_is_paused_and_resumed(service: Service, shell: Shell, directory: Path) -> None:
    """Nothing of it runs meanwhile; its health says so."""
    connector = service.install(directory=str(directory), name="resting")
    _task(service, connector, status="ACTIVE")

    assert shell.run("connectors", "pause", "resting").stderr == "resting is paused.\n"
    assert shell.json("health", "resting")["status"] == "paused"
    assert shell.run("health", "resting", "--check").returncode == 1
    (directory / "a.json").write_text(payment_file("a"))
    time.sleep(2)
    assert service.payments(connector) == []

    assert shell.json("connectors", "pause", "resting")["connectorID"] == connector
    assert shell.run("connectors", "resume", "resting").stderr == "resting is resumed.\n"
    eventually(lambda: service.payments(connector), lambda: service.tasks(connector))
    eventually(lambda: shell.run("health", "resting", "--check").returncode == 0, lambda: shell.ok("health"))


def test_health_is_that_of_the_worst(service: Service, shell: Shell, directory: Path) -> None:
    """Of the whole service, of each installation, and which tasks fail."""
    service.install(directory=str(directory / "missing"), name="failing")
    found = eventually(
        lambda: _failing(shell.json("health", "failing")), lambda: shell.ok("health", "failing")
    )

    assert found["failing"][0]["name"] == "directory"
    text = shell.ok("health", "failing")
    assert re.search(r"^directory|  directory  ", text, re.MULTILINE)
    assert "no such file or directory" in text
    whole = shell.ok("health")
    assert re.search(r"^failing +EXAMPLE +\w+$", whole, re.MULTILINE)
    assert re.search(r"^events waiting +\d", whole, re.MULTILINE)
    assert shell.json("health")["status"] != "ok"
    assert shell.run("health").returncode == 0
    assert shell.run("health", "--check").returncode == 1


def _failing(health: dict[str, Any]) -> dict[str, Any] | None:
    return health if health["failing"] else None
