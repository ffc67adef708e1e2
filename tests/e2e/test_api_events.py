"""The routes of events, over HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.service import PREFIXES, Service, eventually, payment_file

SCHEMAS = Path(__file__).parents[2] / "docs/reference/events"
FILES = 5


def test_schemas_are_served_as_they_are_published(service: Service) -> None:
    """All of them in the house's envelope, and each as it is, so that tools can be pointed at it."""
    published = {file.stem: json.loads(file.read_text("utf-8")) for file in SCHEMAS.iterdir()}
    assert service.get("/events/schemas")["data"] == published

    one = service.http.get("/events/schemas/SAVED_POOL")
    assert one.headers["content-type"] == "application/schema+json"
    assert one.json() == published["SAVED_POOL"]

    missing = service.http.get("/events/schemas/NOTHING")
    assert (missing.status_code, missing.json()["errorCode"]) == (404, "NOT_FOUND")
    assert "SAVED_POOL" in missing.json()["errorMessage"]


def feed(service: Service, **asked: str) -> list[dict[str, Any]]:
    """Everything of the feed, page by page."""
    return service.walk("/events", **asked)


@pytest.fixture
def connector(service: Service, directory: Path) -> str:
    """An installation that has brought in a few payments."""
    for number in range(FILES):
        (directory / f"{number}.json").write_text(payment_file(f"{number}"))
    installed = service.install(directory=str(directory), pollingPeriod="1h")
    eventually(lambda: len(service.payments(installed)) == FILES, lambda: service.tasks(installed))
    return installed


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_feed_goes_on_where_it_was_left(service: Service, connector: str, prefix: str) -> None:
    """Oldest first, the same whenever it is read; what comes later is behind the last place."""
    path = f"{prefix}/events"
    everything = service.walk(path, connectorID=connector)
    payments = [event for event in everything if event["type"] == "SAVED_PAYMENT"]
    assert everything[0]["type"] == "CONNECTOR_INSTALLED"
    assert {event["payload"]["reference"] for event in payments} == {str(number) for number in range(FILES)}
    assert service.walk(path, connectorID=connector, type="SAVED_PAYMENT,SAVED_POOL") == payments
    positions = [int(event["position"]) for event in service.walk(path)]
    assert positions == sorted(set(positions))

    page = service.get(path, connectorID=connector, pageSize="2", after=everything[0]["position"])["cursor"]
    assert (page["data"], page["hasMore"]) == (everything[1:3], True)
    assert page["next"] == everything[2]["position"]

    last = service.walk(path)[-1]["position"]
    assert service.get(path, after=last)["cursor"] == {"pageSize": 15, "hasMore": False, "data": []}
    service.uninstall(connector)
    (gone,) = service.walk(path, after=last)
    assert (gone["type"], gone["payload"]["connectorId"]) == ("CONNECTOR_UNINSTALLED", connector)


def test_the_feed_as_lines(service: Service, connector: str) -> None:
    """The same events, one a line, without pages."""
    answer = service.http.get(
        "/events", params={"connectorID": connector}, headers={"Accept": "application/x-ndjson"}
    )

    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines == feed(service, connectorID=connector)
    assert len(lines) > FILES


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"after": "x"}, "after:"),
        ({"after": "-1"}, "after:"),
        ({"after": "9" * 18}, "after:"),
        ({"after": "9" * 40}, "after:"),
        ({"type": "NOTHING"}, "type:"),
        ({"pageSize": "many"}, "pageSize:"),
        ({"connectorID": "x"}, "connectorID"),
    ],
    ids=str,
)
def test_a_feed_that_makes_no_sense(service: Service, asked: dict[str, str], named: str) -> None:
    """Is refused with the name of what is wrong."""
    answer = service.http.get("/events", params=asked)

    assert answer.status_code == 400
    assert named.rstrip(":") in answer.json()["errorMessage"] or answer.json()["errorCode"] == "INVALID_ID"
