"""The operators' routes, over HTTP: verbs, lists with filters, runs, health."""

from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.e2e.service import PREFIXES, Service, eventually, payment_file, refused

FILES = 5


@pytest.fixture
def connector(service: Service, directory: Path) -> str:
    """An installation that has read its files, and looks once an hour."""
    for number in range(FILES):
        (directory / f"{number}.json").write_text(payment_file(f"{number}"))
    installed = service.install(directory=str(directory), pollingPeriod="1h")
    eventually(
        lambda: len(tasks(service, installed, status="TERMINATED")) == FILES,
        lambda: service.tasks(installed),
    )
    return installed


def tasks(service: Service, connector: str, **filters: str) -> list[dict[str, Any]]:
    return service.walk(f"/connectors/example/{connector}/tasks", **filters)


def periodic(service: Service, connector: str) -> dict[str, Any]:
    """The task that looks at the directory."""
    (found,) = tasks(service, connector, name="directory")
    return found


def tell(service: Service, connector: str, task: str, verb: str) -> dict[str, Any]:
    """The task as a verb leaves it."""
    answer = service.http.post(f"/connectors/example/{connector}/tasks/{task}/{verb}")
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


@pytest.mark.parametrize("prefix", PREFIXES)
def test_run_pause_resume(service: Service, connector: str, directory: Path, prefix: str) -> None:
    """A person has the files looked at, stops that, and lets it go on."""
    task = periodic(service, connector)
    base = f"{prefix}/connectors/example/{connector}/tasks/{task['id']}"
    assert (task["status"], task["paused"]) == ("ACTIVE", False)
    (directory / "late.json").write_text(payment_file("late"))
    answer = service.http.post(f"{base}/run")
    assert (answer.status_code, answer.json()["data"]["id"]) == (200, task["id"])
    eventually(lambda: len(service.payments(connector)) == FILES + 1, lambda: service.tasks(connector))
    eventually(lambda: periodic(service, connector)["runningSince"] is None, lambda: None)
    after = periodic(service, connector)
    assert after["nextRunAt"] == task["nextRunAt"]

    paused = service.http.post(f"{base}/pause").json()["data"]
    assert (paused["status"], paused["paused"], paused["nextRunAt"]) == ("STOPPED", True, None)
    assert service.get(base)["data"] == paused
    for verb, sentence in (("pause", "paused already"), ("run", "Resume it first"), ("cancel", "paused")):
        assert sentence in refused(service.http.post(f"{base}/{verb}"), 409, "CONFLICT")
    resumed = service.http.post(f"{base}/resume").json()["data"]
    assert (resumed["status"], resumed["paused"], resumed["nextRunAt"]) == (
        "ACTIVE",
        False,
        task["nextRunAt"],
    )
    for verb, sentence in (("resume", "not paused"), ("cancel", "Pause it")):
        assert sentence in refused(service.http.post(f"{base}/{verb}"), 409, "CONFLICT")


def _has_runs(service: Service, path: str, number: int) -> bool:
    return len(service.walk(f"{path}/runs")) == number


def test_a_finished_task_runs_once_more_and_its_runs_are_listed(service: Service, connector: str) -> None:
    """The latest first, page by page, each with what it brought in."""
    task = tasks(service, connector, name="file")[0]
    path = f"/connectors/example/{connector}/tasks/{task['id']}"
    assert "nothing" in refused(service.http.post(f"{path}/cancel"), 409, "CONFLICT").lower()
    for number in range(2, 5):
        tell(service, connector, task["id"], "run")
        wanted = partial(_has_runs, service, path, number)
        eventually(wanted, partial(service.get, path))
    first = service.get(f"{path}/runs", pageSize="3")["cursor"]
    rest = service.get(f"{path}/runs", cursor=first["next"])["cursor"]
    assert service.get(f"{path}/runs", cursor=rest["previous"])["cursor"]["data"] == first["data"]
    runs = first["data"] + rest["data"]

    assert [len(first["data"]), len(rest["data"])] == [3, 1]
    assert "next" not in rest
    assert [int(run["id"]) for run in runs] == sorted((int(run["id"]) for run in runs), reverse=True)
    assert {run["taskID"] for run in runs} == {task["id"]}
    assert [(run["outcome"], run["error"], run["seen"]) for run in runs] == [("SUCCEEDED", None, 1)] * 4
    assert [run["added"] for run in runs] == [0, 0, 0, 1]
    assert [run["unchanged"] for run in runs] == [1, 1, 1, 0]
    assert all(run["durationMs"] >= 0 and run["startedAt"] <= run["endedAt"] for run in runs)
    assert runs[0].keys() == {
        "id", "taskID", "startedAt", "endedAt", "durationMs", "outcome", "error", "seen", "added", "changed",
        "unchanged", "setAside",
    }  # fmt: skip


def test_tasks_are_listed_by_status_and_by_name(service: Service, connector: str, stocked: str) -> None:
    """Of an installation, of its only one, and of all; a cursor carries the filter along."""
    every = service.walk("/tasks")
    assert [task["createdAt"] for task in every] == sorted((t["createdAt"] for t in every), reverse=True)
    assert len({task["id"] for task in every}) == len(every)
    assert {task["connectorID"] for task in every} >= {connector, stocked}
    assert [t["id"] for t in every if t["connectorID"] == connector] == [
        t["id"] for t in tasks(service, connector)
    ]
    assert service.walk("/tasks", connectorID=connector) == tasks(service, connector)
    files = tasks(service, connector, name="file")
    assert [next(iter(task["descriptor"])) for task in files] == ["file"] * FILES
    assert service.walk("/connectors/example/tasks", name="file", status="TERMINATED") == files
    assert tasks(service, connector, name="file", status="FAILED") == []
    assert tasks(service, connector, name="no such") == []
    for status in ("PENDING", "ACTIVE", "TERMINATED", "FAILED", "STOPPED"):
        found = [task for task in service.walk("/tasks", status=status) if task["connectorID"] == connector]
        assert found == [task for task in tasks(service, connector) if task["status"] == status]

    page = service.get("/tasks", status="TERMINATED", name="file", connectorID=connector, pageSize="2")
    rows = page["cursor"]["data"]
    while "next" in page["cursor"]:
        page = service.get("/tasks", cursor=page["cursor"]["next"])
        rows += page["cursor"]["data"]
    assert rows == files


def test_what_makes_no_sense_is_said(service: Service, connector: str) -> None:
    """400 for a filter that is none, 404 for what is not there, 400 for what is no id."""
    base = f"/connectors/example/{connector}"
    for path in ("/tasks", f"{base}/tasks"):
        assert "PENDING, ACTIVE" in refused(
            service.http.get(path, params={"status": "BUSY"}), 400, "VALIDATION"
        )
        for name in ("\0", "x" * 201):
            assert "name" in refused(service.http.get(path, params={"name": name}), 400, "VALIDATION")
    refused(service.http.get("/tasks", params={"connectorID": "nonsense"}), 400, "INVALID_ID")
    other = service.get("/tasks", status="TERMINATED", pageSize="1")["cursor"]["next"]
    refused(service.http.get("/tasks", params={"cursor": other, "status": "FAILED"}), 400, "VALIDATION")
    for verb in ("run", "cancel", "pause", "resume"):
        refused(service.http.post(f"{base}/tasks/{uuid4()}/{verb}"), 404, "NOT_FOUND")
        refused(service.http.post(f"{base}/tasks/nonsense/{verb}"), 400, "INVALID_ID")
    refused(service.http.get(f"{base}/tasks/{uuid4()}/runs"), 404, "NOT_FOUND")
    refused(service.http.post(f"/connectors/pier/{connector}/pause"), 404, "NOT_FOUND")
    task = periodic(service, connector)["id"]
    refused(service.http.get(f"{base}/tasks/{task}/pause"), 405, "VALIDATION")


def test_a_task_is_reached_through_its_own_installation_only(
    service: Service, connector: str, stocked: str
) -> None:
    """Another installation's verbs do not touch it."""
    task = periodic(service, connector)["id"]
    for verb in ("run", "cancel", "pause", "resume"):
        refused(service.http.post(f"/connectors/pier/{stocked}/tasks/{task}/{verb}"), 404, "NOT_FOUND")
    refused(service.http.get(f"/connectors/pier/{stocked}/tasks/{task}/runs"), 404, "NOT_FOUND")


def test_an_installation_is_paused_and_resumed(service: Service, connector: str, directory: Path) -> None:
    """Twice is once; what comes due meanwhile waits in line, and health says why."""
    path = f"/connectors/example/{connector}"
    for _ in range(2):
        answer = service.http.post(f"{path}/pause")
        assert (answer.status_code, answer.content) == (204, b"")
    health = service.get(f"{path}/health")["data"]
    assert (health["status"], health["nextRunAt"]) == ("paused", None)
    (directory / "late.json").write_text(payment_file("late"))
    task = periodic(service, connector)
    assert tell(service, connector, task["id"], "run")["status"] == "PENDING"
    whole = service.get("/health")["data"]
    assert {one["connectorID"]: one["status"] for one in whole["installations"]}[connector] == "paused"
    assert len(service.payments(connector)) == FILES
    for _ in range(2):
        assert service.http.post(f"{path}/resume").status_code == 204
    eventually(lambda: len(service.payments(connector)) == FILES + 1, lambda: service.tasks(connector))
    eventually(
        lambda: service.get(f"{path}/health")["data"]["status"] == "ok", lambda: service.get("/health")
    )


def test_health_says_what_fails(service: Service, connector: str, directory: Path) -> None:
    """The status, the last success, the next run, tasks by status, and those that fail with their error."""
    path = f"/connectors/example/{connector}/health"
    health = service.get(path)["data"]
    task = periodic(service, connector)
    assert health.keys() == {
        "status", "error", "lastSuccessAt", "lagSeconds", "nextRunAt", "tasks", "failing", "setAside",
    }  # fmt: skip
    assert (health["status"], health["error"], health["failing"], health["setAside"]) == ("ok", None, [], 0)
    assert health["nextRunAt"] == task["nextRunAt"]
    assert health["lastSuccessAt"] >= task["lastRunAt"]
    assert health["lagSeconds"] == 0
    assert health["tasks"] == {"ACTIVE": 1, "TERMINATED": FILES}

    directory.rename(directory.with_name("moved"))
    tell(service, connector, task["id"], "run")
    eventually(lambda: service.get(path)["data"]["status"] == "failing", lambda: service.get(path))
    health = service.get(path)["data"]
    (failing,) = health["failing"]
    assert (failing["taskID"], failing["name"], failing["attempts"]) == (task["id"], "directory", 1)
    assert "no such file or directory" in failing["error"]
    assert failing["nextRunAt"] == task["nextRunAt"]
    whole = service.get("/health")["data"]
    (one,) = [one for one in whole["installations"] if one["connectorID"] == connector]
    assert one == {"connectorID": connector, "name": "example", "provider": "EXAMPLE", "status": "failing"}
    assert whole["status"] == "failing"
    assert whole["events"].keys() == {"waiting", "oldestSeconds", "sinks"}
    (log,) = whole["events"]["sinks"]
    assert (log["name"], log["error"], log["deadLetters"]) == ("log", None, 0)
    directory.with_name("moved").rename(directory)
    tell(service, connector, task["id"], "run")
    eventually(lambda: service.get(path)["data"]["status"] == "ok", lambda: service.get(path))


def test_dead_credentials_are_seen_and_tried_again_when_asked(service: Service, directory: Path) -> None:
    """Health says what the provider said; nothing runs meanwhile; resuming tries once more."""
    connector = service.install("harbour", directory=str(directory), passphrase="revoked")
    path = f"/connectors/harbour/{connector}"

    def needs_login() -> bool:
        return bool(service.get(f"{path}/health")["data"]["status"] == "needs_login")

    eventually(needs_login, lambda: service.get(f"{path}/health"))
    health = service.get(f"{path}/health")["data"]
    (task,) = service.tasks(connector, "harbour")
    assert health["error"] == task["error"] == "The harbour master no longer knows this passphrase."
    assert (task["status"], task["attempts"], health["nextRunAt"]) == ("FAILED", 1, None)
    (one,) = [
        one for one in service.get("/health")["data"]["installations"] if one["connectorID"] == connector
    ]
    assert one["status"] == "needs_login"
    assert service.http.post(f"{path}/resume").status_code == 204
    eventually(
        lambda: service.tasks(connector, "harbour")[0]["attempts"] == 2 and needs_login(),
        lambda: service.get(f"{path}/health"),
    )
    runs = service.walk(f"{path}/tasks/{task['id']}/runs")
    assert [run["outcome"] for run in runs] == ["FAILED", "FAILED"]
