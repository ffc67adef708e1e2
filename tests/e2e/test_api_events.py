"""The routes of events, over HTTP."""

import json
from pathlib import Path

from tests.e2e.service import Service

SCHEMAS = Path(__file__).parents[2] / "docs/reference/events"


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
