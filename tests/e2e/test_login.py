"""A service that asks for a login: who gets in, how far, and what the audit says of it."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.service import PAYMUX, PREFIXES, Service, eventually, refused
from tests.integration.api.login import AUDIENCE, Login, login

from paymux.api.auth import tokens
from paymux.api.auth.callers import Access

SITE = "https://console.example.com"
OPEN = ["/_health", "/_healthcheck", "/_live", "/_info", "/openapi.json", "/docs"]
WHO: dict[str, list[Access]] = {
    "reader": [Access.READ],
    "writer": [Access.WRITE],
    "operator": [Access.WRITE, Access.CONFIG],
}
TOKENS = {name: tokens.new(name, allowed) for name, allowed in WHO.items()}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Login]:
    """Who issues JWTs."""
    with login() as found:
        yield found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, issuer: Login) -> Iterator[Service]:
    """A service that takes tokens and JWTs, and does not wait long for a body."""
    service = Service(
        tmp_path_factory.mktemp("guarded"),
        PAYMUX_AUTH="required",
        PAYMUX_API_TOKENS=",".join(line for _, line in TOKENS.values()),
        PAYMUX_AUTH_ISSUERS=issuer.url,
        PAYMUX_AUTH_AUDIENCE=AUDIENCE,
        PAYMUX_CORS_ORIGINS=SITE,
        PAYMUX_BODY_TIMEOUT="1",
    )
    service.start()
    yield service
    assert service.stop() == 0


def as_(who: str) -> dict[str, str]:
    """The header of who asks."""
    return {"Authorization": f"Bearer {TOKENS[who][0]}"}


def bearer(token: str) -> dict[str, str]:
    """The header with a token."""
    return {"Authorization": f"Bearer {token}"}


def audit(service: Service, request_id: str) -> list[dict[str, Any]]:
    """What the audit says of a request, once the log has the line that is written last."""

    def look() -> list[dict[str, Any]]:
        lines = service.lines(containing=request_id)
        return lines if any(line["msg"] == "Request" for line in lines) else []

    lines = eventually(look, lambda: f"no line about {request_id}")
    return [line for line in lines if line.get("component") == "audit"]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("path", OPEN)
def test_some_paths_are_for_everybody(guarded: Service, prefix: str, path: str) -> None:
    """Who watches the service has no token, and who reads the documentation needs none."""
    assert guarded.http.get(prefix + path).status_code == 200


def test_every_other_route_asks(guarded: Service) -> None:
    """All that the document lists, under both prefixes, whatever the ids."""
    for path, operations in guarded.get("/openapi.json")["paths"].items():
        for method, operation in operations.items():
            if operation["security"]:
                for prefix in PREFIXES:
                    answer = guarded.http.request(method, prefix + path)
                    refused(answer, 401, "UNAUTHENTICATED")
                    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="paymux"'


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YTpi", "Bearer pmx_wrong", "pmx_wrong"])
def test_what_is_no_login_is_refused(guarded: Service, header: str) -> None:
    answer = guarded.http.get("/payments", headers={"Authorization": header})
    refused(answer, 401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("who", "read", "write", "config"),
    [("reader", 200, 403, 403), ("writer", 200, 404, 403), ("operator", 200, 404, 404)],
)
def test_a_token_reaches_as_far_as_its_scopes(
    guarded: Service, who: str, read: int, write: int, config: int
) -> None:
    """Reading needs one of two scopes, and configs, with their secrets, one of their own."""
    headers = as_(who)
    task = "/connectors/pier/tasks/67c6268d-7fc9-5067-a2cf-920894d7fbe7"
    assert guarded.http.get("/payments", headers=headers).status_code == read
    assert guarded.http.get("/metrics", headers=headers).status_code == read
    connector = (
        "eyJQcm92aWRlciI6IlBJRVIiLCJSZWZlcmVuY2UiOiI2N2M2MjY4ZC03ZmM5LTUwNjctYTJjZi05MjA4OTRkN2ZiZTcifQ"
    )
    paused = guarded.http.post(f"/connectors/pier/{connector}/pause", headers=headers)
    assert paused.status_code == write, paused.text
    for path in ("/connectors/pier/config", f"/connectors/pier/{connector}/config"):
        assert guarded.http.get(path, headers=headers).status_code in (config, 400 if config == 404 else 403)
    assert guarded.http.post("/connectors/nobody", headers=headers, json={}).status_code == config
    assert guarded.http.get(task, headers=headers).status_code in (400, 404)


def test_who_is_known_and_may_not_is_told_what_is_missing(guarded: Service) -> None:
    answer = guarded.http.post("/connectors/example", headers=as_("writer"), json={})

    assert "payments:config" in refused(answer, 403, "FORBIDDEN")
    assert 'scope="payments:config"' in answer.headers["WWW-Authenticate"]


def test_a_jwt_is_a_login(guarded: Service, issuer: Login) -> None:
    """With its own scopes, and the reasons of its own where it is no good."""
    assert guarded.http.get("/payments", headers=bearer(issuer.token())).status_code == 200
    assert guarded.http.post("/connectors/example", headers=bearer(issuer.token())).status_code == 403
    for token, why in (
        (issuer.token(exp=int(time.time()) - 120), "expired"),
        (issuer.token(aud="other"), "audience"),
        (issuer.token(iss="https://login.example.com"), "issuer"),
    ):
        answer = guarded.http.get("/payments", headers=bearer(token))
        assert why in refused(answer, 401, "UNAUTHENTICATED")
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_each_write_is_in_the_audit(guarded: Service, tmp_path: Path, issuer: Login) -> None:
    """Who, what, which object, how it went, and the id that is on all other lines about it."""
    made = guarded.http.post(
        "/api/payments/connectors/pier",
        headers=as_("operator") | {"X-Request-Id": "audit-made"},
        json={"directory": str(tmp_path)},
    )
    connector = made.json()["data"]["connectorID"]
    (line,) = audit(guarded, "audit-made")
    assert line.items() >= {
        "who": "token:operator", "method": "POST", "route": "/connectors/{provider}",
        "operation": "connectorsInstall", "status": 201, "provider": "pier",
        "id": connector, "request-id": "audit-made",
    }.items()  # fmt: skip

    path = f"/connectors/pier/{connector}"
    guarded.http.delete(path, headers=bearer(issuer.token()) | {"X-Request-Id": "audit-refused"})
    (line,) = audit(guarded, "audit-refused")
    assert (line["who"], line["status"], line["connector-id"]) == (f"{issuer.url}#alice", 403, connector)

    guarded.http.delete(path, headers={"X-Request-Id": "audit-nobody"})
    (line,) = audit(guarded, "audit-nobody")
    assert (line["who"], line["status"]) == (None, 401)

    guarded.http.get(path, headers=as_("reader") | {"X-Request-Id": "audit-read"})
    assert audit(guarded, "audit-read") == []

    assert guarded.http.delete(path, headers=as_("operator")).status_code == 204


def test_no_token_is_in_the_log(guarded: Service, issuer: Login) -> None:
    """Neither one that is good nor one that is not."""
    token = issuer.token()
    for header in (as_("reader"), bearer(token), bearer("pmx_this-is-wrong")):
        guarded.http.get("/payments", headers=header)
        guarded.http.post("/connectors/example", headers=header)

    said = guarded.log()
    assert not any(secret in said for secret in (TOKENS["reader"][0], token, "pmx_this-is-wrong"))


def test_commands_send_the_token_of_the_environment(guarded: Service) -> None:
    """And say which variable is meant where it is missing, or does not reach."""

    def run(*words: str, token: str = "") -> subprocess.CompletedProcess[str]:
        environment = guarded.environment() | {
            "PAYMUX_URL": str(guarded.http.base_url),
            "PAYMUX_TOKEN": token,
        }
        return subprocess.run([PAYMUX, *words], env=environment, capture_output=True, text=True, check=False)

    assert run("connectors", "list", token=TOKENS["reader"][0]).returncode == 0
    for words, token in (
        (["connectors", "list"], ""),
        (["connectors", "install", "pier"], TOKENS["reader"][0]),
    ):
        failed = run(*words, token=token)
        assert failed.returncode == 1
        assert "PAYMUX_TOKEN" in failed.stderr


def test_a_new_token_opens_what_its_line_allows() -> None:
    """What the command prints is what the service takes."""
    printed = subprocess.run(
        [PAYMUX, "token", "new", "ledger", "--scope", "write"], capture_output=True, text=True, check=True
    )
    token, line = printed.stdout.split()
    caller = tokens.parse(line).find(token)

    assert caller is not None
    assert caller.may(Access.WRITE)
    assert not caller.may(Access.CONFIG)
    for words in (["bad name"], ["ledger", "--scope", "all"]):
        assert (
            subprocess.run([PAYMUX, "token", "new", *words], capture_output=True, check=False).returncode == 2
        )


def test_a_site_that_is_named_may_ask_from_a_browser(guarded: Service) -> None:
    """Before a browser sends anything of weight, it asks; that needs no token, since it cannot send one."""
    asked = {"Origin": SITE, "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
    answer = guarded.http.options("/connectors/example", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()

    for headers in (as_("reader"), {}):  # a refusal can be read as well
        read = guarded.http.get("/payments", headers={"Origin": SITE, **headers})
        assert read.headers["Access-Control-Allow-Origin"] == SITE


def test_a_site_that_is_not_named_may_not(guarded: Service) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}

    assert guarded.http.options("/connectors/example", headers=asked).status_code == 400
    answer = guarded.http.get("/payments", headers=as_("reader") | {"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_body_that_does_not_come_is_given_up(guarded: Service) -> None:
    """With an answer, and the connection closed: what is left of the body would be read as a request."""
    url = guarded.http.base_url
    head = (
        f"POST /connectors/pier HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
        f"Authorization: {as_('operator')['Authorization']}\r\n\r\n{{"
    )
    with socket.create_connection((url.host, url.port or 0), timeout=20) as client:
        client.sendall(head.encode())
        said = b""
        while piece := client.recv(65_536):
            said += piece

    assert said.startswith(b"HTTP/1.1 408 ")
    assert b'"errorCode":"TIMEOUT"' in said


def test_an_address_that_is_too_long_is_refused(guarded: Service) -> None:
    """Of the service's own limits; a filter of the longest kind passes, with every character escaped."""
    padding = {f"X-Padding-{number}": "x" * 8_000 for number in range(50)}
    assert guarded.http.get("/payments", headers=as_("reader") | padding).status_code == 400
    fits = guarded.http.get("/payments", headers=as_("reader"), params={"query": "{" * 16_384})
    assert "query" in refused(fits, 400, "VALIDATION")


def test_answers_are_neither_kept_nor_guessed_at(guarded: Service) -> None:
    for path in ("/payments", "/docs", "/nothing"):
        headers = guarded.http.get(path, headers=as_("reader")).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_without_a_login_other_machines_are_not_served(tmp_path: Path) -> None:
    """The start is refused with what would be right; what does not go together is refused as well."""
    service = Service(tmp_path)
    for settings, said in (
        ({"PAYMUX_HOST": "0.0.0.0"}, "PAYMUX_AUTH=off"),  # noqa: S104 - what must not work
        ({"PAYMUX_AUTH": "required"}, "PAYMUX_AUTH"),
        ({"PAYMUX_AUTH": "maybe"}, "PAYMUX_AUTH"),
        ({"PAYMUX_API_TOKENS": "secret"}, "PAYMUX_API_TOKENS"),
        ({"PAYMUX_AUTH_ISSUERS": "https://login.example.com"}, "PAYMUX_AUTH_AUDIENCE"),
    ):
        ended = subprocess.run(
            service.command(), env=service.environment() | settings, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert ended.returncode == 1
        assert said in ended.stderr
        assert "secret" not in ended.stderr


def test_without_a_login_the_log_says_so_and_pages_of_others_are_turned_away(service: Service) -> None:
    """Any page can have a browser send things to this machine."""
    assert any("NO AUTHENTICATION" in line["msg"] for line in service.lines())
    host = f"{service.http.base_url.host}:{service.http.base_url.port}"
    for headers, status in (
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example:8080"}, 403),
        ({"Origin": f"http://{host}"}, 404),
        ({}, 404),
    ):
        answer = service.http.post("/connectors/nobody", headers=headers, json={})
        assert answer.status_code == status, (headers, answer.text)
    assert service.http.get("/payments", headers={"Host": "evil.example"}).status_code == 403
    assert isinstance(service.http.get("/payments", headers={"Origin": "https://a.example"}), httpx.Response)
