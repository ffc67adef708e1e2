"""Change, reset, replay and recover: the example connector in a process of its own."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import running
from tests.e2e.service import Service, eventually, payment_file, refused


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of these tests' own: its database is killed."""
    yield from running(Service(tmp_path_factory.mktemp("lifecycle")))


def references(service: Service, connector: str) -> set[str]:
    """Of an installation's payments."""
    return {payment["reference"] for payment in service.payments(connector)}


def test_a_new_config_is_used_at_once(service: Service, directory: Path, tmp_path: Path) -> None:
    """Another directory and another period, though the old one was an hour."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.json").write_text(payment_file("from the other"))
    connector = service.install(directory=str(directory), pollingPeriod="1h")
    eventually(lambda: service.tasks(connector)[0]["lastSuccessAt"], lambda: service.tasks(connector))
    path = f"/connectors/example/{connector}/config"
    shown = service.get(path)["data"]

    changed = service.http.post(path, json={**shown, "directory": str(other), "pollingPeriod": "200ms"})

    assert changed.status_code == 204, changed.text
    eventually(
        lambda: references(service, connector) == {"from the other"}, lambda: service.tasks(connector), 10
    )
    (other / "b.json").write_text(payment_file("a moment later"))
    eventually(lambda: len(references(service, connector)) == 2, lambda: service.tasks(connector), 10)


def test_a_reset_reads_everything_again(service: Service, directory: Path) -> None:
    """Same id, same config; files that are gone leave no trace, the others come in once more."""
    for name in "one", "two":
        (directory / f"{name}.json").write_text(payment_file(name))
    connector = service.install(directory=str(directory))
    eventually(lambda: references(service, connector) == {"one", "two"}, lambda: service.tasks(connector))
    (directory / "one.json").unlink()

    assert service.http.post(f"/connectors/example/{connector}/reset").status_code == 204

    eventually(lambda: references(service, connector) == {"two"}, lambda: service.tasks(connector))
    eventually(lambda: service.events(connector, "CONNECTOR_RESET"), lambda: "nobody was told")
    eventually(lambda: len(service.events(connector)) == 3, lambda: service.events(connector))
    told = [(key, payload["reference"]) for key, payload in service.events(connector)]
    assert sorted(reference for _, reference in told) == ["one", "two", "two"]
    assert len({key for key, _ in told}) == 3
    (listed,) = [row for row in service.get("/connectors")["data"] if row["connectorID"] == connector]
    assert (listed["status"], listed["error"]) == ("INSTALLED", "")


def test_a_file_that_is_mended_can_be_replayed(service: Service, directory: Path) -> None:
    """While it is broken it says what still is wrong; mended, it comes in and is marked."""
    file = directory / "bad.json"
    file.write_text(payment_file("mended", amount=10.5))
    # So rarely that nobody else reads it meanwhile.
    connector = service.install(directory=str(directory), pollingPeriod="1h")
    ((aside),) = eventually(lambda: service.set_aside(connector), lambda: service.tasks(connector))
    assert aside["replayedAt"] is None
    path = f"/connectors/example/{connector}/set-aside"
    replay = f"{path}/{aside['id']}/replay"
    assert "$.amount" in refused(service.http.post(replay), 409, "CONFLICT")
    file.write_text(payment_file("mended", asset="nonsense"))
    assert "asset" in refused(service.http.post(replay), 409, "CONFLICT")
    assert "asset" in service.set_aside(connector)[0]["reason"]

    file.write_text(payment_file("mended"))
    answer = service.http.post(replay)

    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["replayedAt"]
    assert references(service, connector) == {"mended"}
    assert service.http.post(f"{path}/replay").json() == {"data": {"replaying": 0}}


def test_a_file_that_is_gone_is_replayed_from_what_was_kept(service: Service, directory: Path) -> None:
    """Which is as broken as it was, and says so."""
    file = directory / "bad.json"
    file.write_text("{}")
    connector = service.install(directory=str(directory), pollingPeriod="1h")
    ((aside),) = eventually(lambda: service.set_aside(connector), lambda: service.tasks(connector))
    file.unlink()

    answer = service.http.post(f"/connectors/example/{connector}/set-aside/{aside['id']}/replay")

    assert "created_at" in refused(answer, 409, "CONFLICT")


@pytest.mark.parametrize("directory", [17, ["x"], {"a": 1}, True])
def test_what_is_no_path_is_refused_in_a_sentence(service: Service, directory: Any) -> None:
    """Without the words of a library."""
    answer = service.http.post("/connectors/example", json={"directory": directory})
    assert "must be a path" in refused(answer, 400, "VALIDATION")
    assert "pathlib" not in answer.text


def test_the_database_may_die_alone(service: Service, directory: Path) -> None:
    """Kill -9: it is started again within seconds, and everything goes on without a restart of ours."""
    (directory / "before.json").write_text(payment_file("before"))
    connector = service.install(directory=str(directory), pollingPeriod="200ms")
    eventually(lambda: references(service, connector) == {"before"}, lambda: service.tasks(connector))
    before = service.database_pid

    os.kill(before, signal.SIGKILL)
    (directory / "after.json").write_text(payment_file("after"))

    # Its connections may outlive it for a moment, so that health is good before it is bad.
    eventually(
        lambda: (
            service.lines(containing="has died and is started again")
            and service.http.get("/_health").is_success
            and service.http.get("/payments").is_success
        ),
        lambda: service.log()[-3000:],
    )
    eventually(lambda: references(service, connector) == {"before", "after"}, lambda: service.log()[-3000:])
    assert service.database_pid != before
    assert service.running
