"""The tutorial's story, told over HTTP to a process that is stopped, killed and started along the way."""

import json
import os
import re
import signal
import subprocess
import time
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import running
from tests.e2e.service import PATIENCE, Service, eventually, payment_file

TUTORIAL = """{
"created_at": "2019-05-15T14:00:00.000Z",
"reference": "test",
"amount": 100,
"asset": "EUR/2",
"type": "TRANSFER",
"status": "SUCCEEDED",
"scheme": "visa"
}
"""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of this story's own: it does not go well with it."""
    yield from running(Service(tmp_path_factory.mktemp("story")))


def test_a_missing_directory_heals_itself(service: Service, directory: Path) -> None:
    """The task fails, visibly, and is well again with the next look once the directory is there."""
    directory.rmdir()
    connector = service.install(directory=str(directory), name="missing")
    failed = eventually(lambda: _only_task(service, connector, "FAILED"), lambda: service.tasks(connector))
    assert failed["descriptor"] == "directory"
    assert failed["error"] == f"{directory}: no such file or directory"
    assert failed["attempts"] >= 1
    assert failed["nextRunAt"]
    assert any("no such file or directory" in line["msg"] for line in _of(service, connector, "error"))
    assert [line["msg"] for line in _of(service, connector)][:2] == [
        "Connector installed",
        "Starting task...",
    ]

    directory.mkdir()

    healed = eventually(lambda: _only_task(service, connector, "ACTIVE"), lambda: service.tasks(connector))
    assert healed["id"] == failed["id"]
    assert healed["error"] == ""
    assert healed["attempts"] == 0
    assert "Found 0 files" in [line["msg"] for line in _of(service, connector)]
    eventually(lambda: service.events(connector, "TASK_RECOVERED"), lambda: "nobody was told")
    for kind in ("TASK_FAILED", "TASK_RECOVERED"):
        assert len(service.events(connector, kind)) == 1


def test_a_dropped_file_becomes_the_tutorials_payment(service: Service, directory: Path) -> None:
    """Every field as the tutorial shows it, at every path that it shows."""
    connector = service.install(directory=str(directory), name="tutorial")
    (directory / "test.json").write_text(TUTORIAL)

    (payment,) = eventually(lambda: service.payments(connector), lambda: service.tasks(connector))

    identity = json.loads(urlsafe_b64decode(payment["id"] + "=" * (-len(payment["id"]) % 4)))
    installation = json.loads(urlsafe_b64decode(connector + "=" * (-len(connector) % 4)))
    assert installation.keys() == {"Provider", "Reference"}
    assert installation["Provider"] == "EXAMPLE"
    assert identity == {"ConnectorID": installation, "Reference": "test", "Type": "TRANSFER"}
    (report,) = payment["adjustments"]
    assert payment == {
        "id": payment["id"],
        "reference": "test",
        "type": "TRANSFER",
        "provider": "EXAMPLE",
        "connectorID": connector,
        "status": "SUCCEEDED",
        "amount": 100,
        "initialAmount": 100,
        "scheme": "visa",
        "asset": "EUR/2",
        "createdAt": "2019-05-15T14:00:00Z",
        "sourceAccountID": "",
        "destinationAccountID": "",
        "raw": json.loads(TUTORIAL),
        "adjustments": [report],
        "metadata": None,
    }
    assert (report["status"], report["amount"], report["raw"]) == ("SUCCEEDED", 100, json.loads(TUTORIAL))
    assert service.get(f"/payments/{payment['id']}") == {"data": payment}
    for prefix in ("", "/api/payments"):
        assert service.get(f"{prefix}/payments/{payment['id']}")["data"] == payment
        assert payment in service.walk(f"{prefix}/payments")
    (key, told) = eventually(lambda: service.events(connector), lambda: "no event")[0]
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", key)
    shared = ("id", "reference", "type", "status", "amount", "initialAmount", "scheme", "asset", "createdAt")
    assert {name: told[name] for name in shared} == {name: payment[name] for name in shared}


def test_a_broken_file_stops_nobody(service: Service, directory: Path) -> None:
    """The good ones still come in; the bad one is listed with its name, the field and what it held."""
    connector = service.install(directory=str(directory), name="broken")
    broken = payment_file("broken", amount=10.5)
    (directory / "a broken one.json").write_text(broken)
    for number in range(3):
        (directory / f"good-{number}.json").write_text(payment_file(f"good-{number}"))

    (record,) = eventually(lambda: service.set_aside(connector), lambda: service.tasks(connector))
    eventually(lambda: len(service.payments(connector)) == 3, lambda: service.payments(connector))

    assert record["reason"].startswith("a broken one.json: ")
    assert "amount" in record["reason"]
    assert (record["kind"], record["raw"], record["seen"]) == ("payment", broken, 1)
    assert record["connectorID"] == connector
    assert not [task for task in service.tasks(connector) if task["status"] == "FAILED"]


def test_a_restart_goes_on_where_it_left_off(service: Service, directory: Path) -> None:
    """Ctrl-C and a new start: tasks run again, no payment is doubled, no event is told twice."""
    for number in range(20):
        (directory / f"{number}.json").write_text(payment_file(f"before-{number}"))
    connector = service.install(directory=str(directory), name="restarted")
    eventually(lambda: len(service.events(connector)) == 20, lambda: service.events(connector))
    before = service.payments(connector)
    tasks = {task["id"] for task in service.tasks(connector)}
    begun = len(service.log())

    assert service.stop(signal.SIGINT) == 0
    service.start()

    (directory / "after.json").write_text(payment_file("after"))
    eventually(lambda: len(service.payments(connector)) == 21, lambda: service.tasks(connector))
    eventually(lambda: len(service.events(connector)) >= 21, lambda: service.events(connector))
    messages = [line["msg"] for line in service.lines(begun)]
    said = [m for m in messages if m.startswith(("Stop", "Restoring state for all"))]
    assert said == ["Stopping scheduler...", "Stopped", "Restoring state for all connectors"]
    assert {
        line["name"] for line in service.lines(begun) if line["msg"] == "Restoring state for connector"
    } == {"restarted"}
    after = {payment["id"]: payment for payment in service.payments(connector)}
    assert all(after[payment["id"]] == payment for payment in before)
    assert set(Counter(key for key, _ in service.events(connector)).values()) == {1}
    assert len(service.events(connector)) == 21
    assert tasks < {task["id"] for task in service.tasks(connector)}
    assert {run["count"] for run in _runs_of_files(service, "restarted")} == {1}


def test_a_killed_process_loses_nothing_and_doubles_nothing(service: Service, directory: Path) -> None:
    """Killed in the middle of 500 files, twice: in the end all are there, each told under one key."""
    count = 500
    for number in range(count):
        (directory / f"{number:03}.json").write_text(payment_file(f"{number:03}"))
    connector = service.install(directory=str(directory), name="killed")
    for share in (count // 10, count // 2):
        _wait_for_count(service, "killed", share)
        database = service.database_pid
        there = _counted(service, "killed")
        service.kill()
        assert there < count, "killed too late to tell"
        _wait_for_end_of(database)
        service.start()
        assert _counted(service, "killed") >= there

    eventually(lambda: _counted(service, "killed") == count, lambda: service.tasks(connector))
    eventually(
        lambda: {told["reference"] for _, told in service.events(connector)} == _references(count),
        lambda: "not all were told",
    )

    payments = service.payments(connector)
    assert Counter(payment["reference"] for payment in payments) == Counter(_references(count))
    assert {len(payment["adjustments"]) for payment in payments} == {1}
    keys = {(told["reference"], key) for key, told in service.events(connector)}
    assert len(keys) == count, "a payment was told under two keys"
    eventually(
        lambda: {task["status"] for task in service.tasks(connector)} == {"ACTIVE", "TERMINATED"},
        lambda: Counter(task["status"] for task in service.tasks(connector)),
    )
    assert not service.set_aside(connector)


def test_an_uninstalled_connector_leaves_nothing_and_touches_nobody(
    service: Service, directory: Path, tmp_path: Path
) -> None:
    """Tasks, payments and schedules of the one are gone; those of the other go on."""
    other = tmp_path / "other"
    other.mkdir()
    (directory / "mine.json").write_text(payment_file("shared reference"))
    (other / "theirs.json").write_text(payment_file("shared reference"))
    going = service.install(directory=str(directory), name="going")
    staying = service.install(directory=str(other), name="staying")
    for name in ("going", "staying"):
        _wait_for_count(service, name, 1)
    (gone,) = service.payments(going)
    kept = service.payments(staying)

    service.uninstall(going)

    assert {row["name"] for row in service.get("/connectors")["data"]} == {"staying"}
    assert service.http.get(f"/payments/{gone['id']}").status_code == 404
    assert service.http.get(f"/connectors/example/{going}/tasks").status_code == 404
    assert service.payments(going) == []
    assert service.payments(staying) == kept
    eventually(lambda: not _rows_of_others(service), lambda: _rows_of_others(service))
    assert service.walk("/payments") == kept
    logged = len(service.log())
    (other / "later.json").write_text(payment_file("later"))
    eventually(lambda: len(service.payments(staying)) == 2, lambda: service.tasks(staying))
    time.sleep(1.5)
    assert [payment for payment in service.payments(staying) if payment["reference"] != "later"] == kept
    assert not [line for line in service.lines(logged) if str(directory) in line["msg"]]
    messages = [line["msg"] for line in service.lines() if line.get("connectorID") == going]
    for said in ("Uninstalling connector", "Stopping scheduler...", "Connector uninstalled"):
        assert said in messages


def test_a_second_process_on_the_same_data_is_refused(service: Service) -> None:
    """It ends with exit code 1 and says who holds the directory and what to do; the first goes on."""
    second = subprocess.run(
        service.command(),
        env=service.environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert second.returncode == 1
    assert f"The data directory {service.data_dir} is in use by process {service.pid}." in second.stderr
    assert "--data-dir" in second.stderr
    assert "Traceback" not in second.stderr
    assert service.http.get("/_health").status_code == 200


def _only_task(service: Service, connector: str, status: str) -> dict[str, Any] | None:
    (task,) = service.tasks(connector)
    # Between two looks it is ACTIVE and waits; then it has a time.
    return task if task["status"] == status and task["nextRunAt"] else None


def _of(service: Service, connector: str, *levels: str) -> list[dict[str, Any]]:
    return [
        line
        for line in service.lines()
        if line.get("connectorID") == connector and (not levels or line["level"] in levels)
    ]


def _references(count: int) -> set[str]:
    return {f"{number:03}" for number in range(count)}


def _counted(service: Service, name: str) -> int:
    (row,) = service.sql(
        "SELECT count(*) FROM payment p JOIN installation i ON i.id = p.installation WHERE i.name = $1", name
    )
    return int(row["count"])


def _wait_for_count(service: Service, name: str, least: int) -> None:
    eventually(lambda: _counted(service, name) >= least, lambda: f"{_counted(service, name)} payments")


def _runs_of_files(service: Service, name: str) -> list[dict[str, Any]]:
    return service.sql(
        "SELECT r.task, count(*) FROM run r JOIN task t ON t.id = r.task"
        " JOIN installation i ON i.id = r.installation"
        " WHERE i.name = $1 AND t.schedule <> 'EVERY' GROUP BY r.task",
        name,
    )


def _rows_of_others(service: Service) -> dict[str, int]:
    """Rows that belong to no installation that is installed, by table."""
    found = {}
    for table in ("installation", "task", "run", "payment", "account", "set_aside"):
        column = "id" if table == "installation" else "installation"
        (row,) = service.sql(
            f"SELECT count(*) FROM {table} WHERE {column} NOT IN"  # noqa: S608 - the names are above
            " (SELECT id FROM installation WHERE status = 'INSTALLED')"
        )
        if row["count"]:
            found[table] = row["count"]
    return found


def _wait_for_end_of(pid: int) -> None:
    """Wait for the end of a process that is nobody's child any more."""

    def ended() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    eventually(ended, lambda: "the embedded server outlives a killed paymux")
