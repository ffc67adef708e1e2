"""Installing over HTTP: bodies of every kind, configs, names and secrets."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.e2e.service import PREFIXES, Service, refused

# PAYMUX_MAX_BODY_BYTES, unless set.
BODY_MAX = 2 * 1024 * 1024


def test_installing_answers_with_the_id(service: Service, directory: Path) -> None:
    """201 with the connectorID; the list, the config and the tasks know it; 204 and nothing does."""
    answer = service.http.post("/connectors/example", json={"directory": str(directory)})

    assert answer.status_code == 201
    assert answer.json().keys() == {"data"}
    connector = answer.json()["data"]["connectorID"]
    listed = {
        "provider": "EXAMPLE",
        "connectorID": connector,
        "name": "example",
        "status": "INSTALLED",
        "error": "",
        "enabled": True,
    }
    assert listed in service.get("/connectors")["data"]
    assert service.get(f"/connectors/example/{connector}/config")["data"] == {
        "name": "example",
        "directory": str(directory),
        "pollingPeriod": "10s",
        "provider": "EXAMPLE",
    }
    gone = service.http.delete(f"/connectors/example/{connector}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert listed not in service.get("/connectors")["data"]
    for path in ("config", "tasks", "set-aside"):
        refused(service.http.get(f"/connectors/example/{connector}/{path}"), 404, "NOT_FOUND")
    refused(service.http.delete(f"/connectors/example/{connector}"), 404, "NOT_FOUND")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_only_installation_needs_no_id(service: Service, directory: Path, prefix: str) -> None:
    """With none or with two of them, that is a question without an answer: 400 INVALID_ID."""
    short = [f"{prefix}/connectors/eXaMple{rest}" for rest in ("", "/config", "/tasks")]
    for count in (0, 2):
        connectors = [service.install(directory=str(directory)) for _ in range(count)]
        for path in (*short, f"{short[0]}/tasks/{uuid4()}"):
            assert f"There are {count} of EXAMPLE" in refused(service.http.get(path), 400, "INVALID_ID")
        refused(service.http.delete(short[0]), 400, "INVALID_ID")
        for connector in connectors:
            service.uninstall(connector)

    connector = service.install(directory=str(directory))
    whole = f"{prefix}/connectors/EXAMPLE/{connector}"
    assert service.get(short[0])["cursor"]["data"] == []
    assert service.get(short[1]) == service.get(f"{whole}/config")
    (task,) = service.get(short[2])["cursor"]["data"]
    assert service.get(f"{short[2]}/{task['id']}")["data"]["id"] == task["id"]
    assert service.http.delete(short[0]).status_code == 204
    refused(service.http.get(f"{whole}/config"), 404, "NOT_FOUND")


def test_names_are_numbered_and_taken_once(service: Service, directory: Path) -> None:
    """Without a name it is the connector's, then numbered; one that is taken, in any case, is a CONFLICT."""

    def config(name: str) -> dict[str, str]:
        return {"directory": str(directory), "name": name}

    connectors = [service.install(directory=str(directory), name=name) for name in ("", "", "  ", "mine")]
    names = {
        service.get(f"/connectors/example/{connector}/config")["data"]["name"] for connector in connectors
    }
    assert names == {"example", "example-2", "example-3", "mine"}
    for name in ("mine", "MINE", " mine ", "Example-2"):
        refused(service.http.post("/connectors/example", json=config(name)), 400, "CONFLICT")
    # A name is free again as soon as its installation is gone.
    service.uninstall(connectors.pop())
    service.install(directory=str(directory), name="mine")


def test_of_many_who_want_one_name_one_gets_it(service: Service, directory: Path) -> None:
    """All at once; the others are told so, and leave nothing behind."""
    config = {"directory": str(directory), "name": "wanted"}
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: service.http.post("/connectors/example", json=config), range(8)))

    (winner,) = [answer for answer in answers if answer.status_code == 201]
    for answer in answers:
        if answer is not winner:
            refused(answer, 400, "CONFLICT")
    assert [row["name"] for row in service.get("/connectors")["data"]].count("wanted") == 1


def test_a_body_may_come_in_pieces(service: Service, directory: Path) -> None:
    """Chunked, without a length or a content type."""
    body = json.dumps({"directory": str(directory)}).encode()

    answer = service.http.post(
        "/connectors/example", content=(body[i : i + 7] for i in range(0, len(body), 7))
    )

    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("body", [b"", b" \n", b"{}"])
def test_without_a_config_the_missing_field_is_named(service: Service, body: bytes) -> None:
    """Nothing at all is like an empty config."""
    answer = service.http.post("/connectors/example", content=body)
    assert "directory" in refused(answer, 400, "VALIDATION")
    assert answer.json()["details"] == {"directory": "field required"}


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"directory": "x", "colour": "red"}, "colour"),
        ({"directory": 17}, "directory"),
        ({"directory": ""}, "directory"),
        ({"directory": None}, "directory"),
        ({"directory": "a\0b"}, "directory"),
        ({"directory": "x" * 5000}, "directory"),
        ({"directory": {"a": [[[["b"]]]]}}, "directory"),
        ({"directory": "x", "pollingPeriod": 10}, "pollingPeriod"),
        ({"directory": "x", "pollingPeriod": "soon"}, "pollingPeriod"),
        ({"directory": "x", "pollingPeriod": "0s"}, "pollingPeriod"),
        ({"directory": "x", "pollingPeriod": "-1s"}, "pollingPeriod"),
        ({"directory": "x", "pollingPeriod": "1ms"}, "pollingPeriod"),
        ({"directory": "x", "pollingPeriod": "2562047h"}, "pollingPeriod"),
        ({"directory": "x", "name": ["a"]}, "name"),
        ({"directory": "x", "name": "n" * 1000}, "name"),
    ],
)
def test_a_bad_config_is_refused_by_field(service: Service, config: dict[str, Any], field: str) -> None:
    """400 VALIDATION; the message and the details name the field, and nothing is installed."""
    before = service.get("/connectors")
    answer = service.http.post("/connectors/example", json=config)
    assert field in refused(answer, 400, "VALIDATION")
    assert field in answer.json()["details"]
    assert service.get("/connectors") == before


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"null",
        b"[]",
        b'"directory"',
        b"17",
        b"directory=/tmp",
        b'{"directory": "\xff"}',
        b'{"directory": "a\0b"}',
        b'{"directory": NaN}',
        b'{"directory": 1e999}',
        b'{"directory": ' + b"1" * 5000 + b"}",
        b'{"directory": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"directory": "x"} {}',
        b"\xef\xbb\xbf{}",
        b"\0" * 100,
    ],
)
def test_a_body_that_is_no_object_is_refused(service: Service, body: bytes) -> None:
    """400 MISSING_OR_INVALID_BODY, whatever it is instead."""
    refused(service.http.post("/connectors/example", content=body), 400, "MISSING_OR_INVALID_BODY")


def test_a_body_has_a_limit(service: Service, directory: Path) -> None:
    """413, with a length or in pieces; up to the limit it is read."""
    large = json.dumps({"directory": str(directory), "name": "x"}).encode().ljust(BODY_MAX + 1)

    for content in (large, (large[i : i + 65536] for i in range(0, len(large), 65536))):
        answer = service.http.post("/connectors/example", content=content)
        assert "PAYMUX_MAX_BODY_BYTES" in refused(answer, 413, "MISSING_OR_INVALID_BODY")
    answer = service.http.post("/connectors/example", content=large[:-1])
    assert answer.status_code == 201


def test_a_client_that_goes_away_is_no_failure(service: Service) -> None:
    """A body that never ends leaves no error in the log."""
    logged = len(service.log())
    with socket.create_connection((service.http.base_url.host, service.http.base_url.port or 0)) as client:
        client.sendall(b"POST /connectors/example HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert service.http.get("/_health").is_success
    assert not [line for line in service.lines(logged) if line["level"] == "error"]


def test_secrets_are_shown_to_nobody(service: Service, directory: Path) -> None:
    """Masked in the config, absent from answers, errors and the log, and encrypted where they are kept."""
    secret = f"sesame-{uuid4().hex}"
    config = {"directory": str(directory), "passphrase": secret, "name": "secretive"}
    connector = service.install("harbour", **config)

    shown = service.get(f"/connectors/harbour/{connector}/config")["data"]
    assert shown["passphrase"] == "********"
    again = service.http.post("/connectors/harbour", json={**config, "colour": secret})
    assert secret not in again.text
    mask = service.http.post("/connectors/harbour", json={**config, "passphrase": shown["passphrase"]})
    assert "passphrase" in refused(mask, 400, "VALIDATION")
    assert secret not in service.log()
    (row,) = service.sql("SELECT config FROM installation WHERE name = 'secretive'")
    assert secret.encode() not in row["config"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_connector_shows_its_template(service: Service, prefix: str) -> None:
    """Field by field: data type, whether it is required, and the default."""
    templates = service.get(f"{prefix}/connectors/configs")["data"]
    assert {"EXAMPLE", "HARBOUR", "PIER"} <= templates.keys()
    example = templates["EXAMPLE"]
    assert example.keys() == {"name", "directory", "pollingPeriod"}
    assert example["directory"] == {"dataType": "string", "required": True, "defaultValue": ""}
    assert example["pollingPeriod"]["defaultValue"] == "10s"
