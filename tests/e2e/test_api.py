"""The service as its clients find it: addresses, methods, shapes, and errors that are never a 500."""

import socket
from uuid import UUID, uuid4

import pytest
from tests.e2e.conftest import STOCKED
from tests.e2e.service import PREFIXES, Service, encoded, eventually, refused


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_service_says_how_it_is(service: Service, prefix: str) -> None:
    """Health, liveness and version, under both prefixes."""
    for path in ("/_health", "/_healthcheck", "/_live"):
        assert service.get(prefix + path) == {"status": "ok"}
    assert service.get(f"{prefix}/_info").keys() == {"version"}


@pytest.mark.parametrize(
    "path",
    ["/_health", "/_healthcheck", "/_live", "/_info", "/connectors", "/connectors/configs",
     "/connectors/pier", "/connectors/pier/config", "/connectors/pier/{connector}/config",
     "/connectors/pier/tasks", "/connectors/pier/{connector}/tasks", "/connectors/pier/tasks/{task}",
     "/connectors/pier/{connector}/tasks/{task}", "/connectors/pier/{connector}/set-aside",
     "/payments", "/payments/{payment}", "/payments/whatever", "/connectors/nothing", "/nothing"],
)  # fmt: skip
def test_everything_answers_the_same_under_the_prefix(service: Service, stocked: str, path: str) -> None:
    """Clients of either kind of installation find what they know."""
    known = {
        "connector": stocked,
        "task": service.tasks(stocked, "pier")[0]["id"],
        "payment": service.payments(stocked)[0]["id"],
    }
    address = path.format(**known)

    def same() -> bool:
        one, other = (service.http.get(prefix + address) for prefix in PREFIXES)
        return (one.status_code, one.text) == (other.status_code, other.text)

    # A task may have run in between.
    eventually(same, lambda: "the answers differ", patience=5)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    "path", ["/", "//", "/nothing", "/payments/a/b", "/connectors/example/x/y/z", "/%2e%2e/etc/passwd"]
)
def test_an_unknown_path_is_a_typed_404(service: Service, prefix: str, path: str) -> None:
    """Whatever the method."""
    for method in ("GET", "POST", "PUT", "DELETE"):
        refused(service.http.request(method, prefix + path), 404, "NOT_FOUND")


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/payments", "POST"),
        ("DELETE", "/payments", "GET"),
        ("PUT", "/connectors/example", "DELETE"),
        ("BREW", "/connectors", "GET"),
        ("POST", "/connectors/configs", "GET"),
        ("GET", "/connectors/example/whatever", "DELETE"),
        ("POST", "/connectors/example/whatever/tasks", "GET"),
    ],
)
def test_an_impossible_method_is_a_typed_405(
    service: Service, prefix: str, method: str, path: str, allowed: str
) -> None:
    """With the methods that are possible."""
    answer = service.http.request(method, prefix + path)
    refused(answer, 405, "VALIDATION")
    assert allowed in answer.headers["Allow"]


@pytest.mark.parametrize(
    "target",
    [
        b"/payments/%00",
        b"/payments/%ff",
        b"/payments/a%2Fb",
        b"/payments/%zz",
        b"/connectors/%00",
        b"/connectors/%ff/%ff/tasks",
        b"/connectors/a%2Fb%2Fc",
        b"/connectors/example/%00/config",
        b"/payments?cursor=%00",
        b"/payments?cursor=%ff",
        b"/payments?cursor=a&cursor=b",
        b"/payments?query=%00",
        b"/payments?query=%ff",
        b"/payments?query=" + b"[" * 5000,
        b"/payments?pageSize=%D9%A1",
        b"/payments/" + b"a" * 20_000,
        b"/" + b"a" * 70_000,
        b"/\xff",
        b"*",
    ],
)
def test_an_odd_address_is_the_clients_mistake(service: Service, target: bytes) -> None:
    """As raw bytes: percent-encodings of anything, and whatever the length, get a 4xx."""
    with socket.create_connection((service.http.base_url.host, service.http.base_url.port or 0)) as client:
        client.settimeout(10)
        client.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: paymux\r\nConnection: close\r\n\r\n")
        answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 4"), answer


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/connectors/nothing", 404, "NOT_FOUND"),
        ("/connectors/nothing/config", 404, "NOT_FOUND"),
        ("/connectors/nothing/tasks", 404, "NOT_FOUND"),
        ("/connectors/nothing/{stocked}/config", 404, "NOT_FOUND"),
        ("/connectors/example/{stocked}/config", 404, "NOT_FOUND"),
        ("/connectors/example/{stocked}/tasks", 404, "NOT_FOUND"),
        ("/connectors/pier/{stranger}/config", 404, "NOT_FOUND"),
        ("/connectors/pier/{stranger}/set-aside", 404, "NOT_FOUND"),
        ("/connectors/pier/whatever/config", 400, "INVALID_ID"),
        ("/connectors/pier/whatever/tasks", 400, "INVALID_ID"),
        ("/connectors/pier/whatever/set-aside", 400, "INVALID_ID"),
        ("/connectors/pier/{stocked}/tasks/whatever", 400, "INVALID_ID"),
        ("/connectors/pier/{stocked}/tasks/00000000-0000-0000-0000-000000000000", 404, "NOT_FOUND"),
        ("/payments/whatever", 400, "INVALID_ID"),
        ("/payments/{stocked}", 400, "INVALID_ID"),
        ("/payments/{payment}", 404, "NOT_FOUND"),
    ],
)
def test_what_is_not_there_is_told_from_what_is_no_id(
    service: Service, stocked: str, path: str, status: int, code: str
) -> None:
    """404 for an id that could be one, 400 for one that could not."""
    stranger = encoded({"Provider": "PIER", "Reference": str(uuid4())})
    payment = encoded(
        {"ConnectorID": {"Provider": "PIER", "Reference": str(uuid4())}, "Reference": "\0", "Type": "PAYOUT"}
    )
    address = path.format(stocked=stocked, stranger=stranger, payment=payment)
    for prefix in PREFIXES:
        refused(service.http.get(prefix + address), status, code)


def test_deleting_what_is_not_there_is_refused(service: Service, stocked: str) -> None:
    """Also when it is there under another provider's name."""
    refused(service.http.delete("/connectors/nothing"), 404, "NOT_FOUND")
    refused(service.http.delete("/connectors/pier/whatever"), 400, "INVALID_ID")
    refused(service.http.delete(f"/connectors/example/{stocked}"), 404, "NOT_FOUND")
    refused(service.http.post("/connectors/nothing", json={}), 404, "NOT_FOUND")


def test_a_provider_may_be_written_in_any_case(service: Service, stocked: str) -> None:
    """With the id and without."""
    for path in (f"/{stocked}/config", f"/{stocked}/set-aside", "/config", ""):
        answers = [service.get(f"/connectors/{provider}{path}") for provider in ("pier", "PIER", "PiEr")]
        assert answers[0] == answers[1] == answers[2]


def test_a_task_shows_how_it_does(service: Service, stocked: str) -> None:
    """The tutorial's fields, and when it runs."""
    tasks = service.tasks(stocked, "pier")
    assert len(tasks) == STOCKED + 3
    for task in tasks:
        assert task.keys() == {
            "id", "connectorID", "createdAt", "updatedAt", "descriptor", "status", "paused", "state", "error",
            "attempts", "nextRunAt", "runningSince", "lastRunAt", "lastSuccessAt",
        }  # fmt: skip
        assert task["connectorID"] == stocked
        assert str(UUID(task["id"])) == task["id"]
    statuses = {task["status"] for task in tasks if task["descriptor"] != "directory"}
    assert statuses == {"TERMINATED"}
    task = tasks[0]
    found = service.get(f"/connectors/pier/{stocked}/tasks/{task['id']}")["data"]
    assert found["id"] == task["id"]
    assert found["descriptor"] == task["descriptor"]


def test_a_set_aside_record_shows_why(service: Service, stocked: str) -> None:
    """And which task brought it."""
    records = service.set_aside(stocked, "pier")
    assert len(records) == 2
    tasks = {task["id"] for task in service.tasks(stocked, "pier")}
    for record in records:
        assert record.keys() == {
            "id", "connectorID", "taskID", "kind", "reason", "raw", "seen", "createdAt", "lastSeenAt",
            "replayedAt",
        }  # fmt: skip
        assert record["connectorID"] == stocked
        assert record["taskID"] in tasks
