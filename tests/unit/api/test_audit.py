"""Every write leaves one line, whoever tried it and however it went."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from paymux.api.audit import audited
from paymux.api.auth.callers import Caller
from paymux.api.observed import App, Receive, Scope, Send

CALLER = Caller("token:ledger", frozenset())


def answering(status: int, body: bytes = b"", *, found: bool = True, caller: Caller | None = CALLER) -> App:
    """An application that answers so, as the framework leaves the scope behind."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if found:
            scope["path_template"] = "/pools/{pool}"
            scope["path_params"] = {"pool_id": "p" * 5_000}
        if caller is not None:
            scope["state"] = {"caller": caller}
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body", "body": body[:5], "more_body": True})
        await send({"type": "http.response.body", "body": body[5:]})

    return app


async def asked(app: App, method: str = "POST") -> list[Any]:
    """The lines about one request."""

    async def nothing(*_: object) -> None:
        pass

    with capture_logs() as lines:
        await audited(app)({"type": "http", "method": method}, nothing, nothing)
    return lines


@pytest.mark.parametrize("body", [b'{"data":{"id":"x"}}', b'{"data":{"connectorID":"x"}}'])
async def test_the_id_of_what_was_made_is_told(body: bytes) -> None:
    """However the answer comes in pieces; ids of the path are told as well, as far as one is believable."""
    (line,) = await asked(answering(201, body))

    assert line["component"] == "audit"
    assert (line["who"], line["status"], line["route"]) == ("token:ledger", 201, "/pools/{pool}")
    assert line["id"] == "x"
    assert line["pool-id"] == "p" * 1_000


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"nonsense", b'{"data":[1]}', b'{"data":null}', b'{"data":"id"}']
)
async def test_an_answer_without_an_id_is_no_trouble(body: bytes) -> None:
    (line,) = await asked(answering(200, body))

    assert "id" not in line


async def test_what_was_refused_is_told_too() -> None:
    """And an id in an error is of nothing that was made."""
    (line,) = await asked(answering(409, b'{"data":{"id":"x"}}'))

    assert line["status"] == 409
    assert "id" not in line


@pytest.mark.parametrize(("status", "who"), [(401, None), (201, "anonymous"), (403, "anonymous")])
async def test_nobody_is_named_where_nobody_is_known(status: int, who: str | None) -> None:
    (line,) = await asked(answering(status, caller=None))

    assert line["who"] == who


async def test_reads_and_what_is_not_there_leave_no_line() -> None:
    assert await asked(answering(200), "GET") == []
    assert await asked(answering(404, found=False)) == []


async def test_a_failure_on_the_way_is_told() -> None:
    """The line is there whatever the application raises."""

    async def failing(scope: Scope, _receive: Receive, _send: Send) -> None:
        scope["path_template"] = "/pools"
        raise RuntimeError

    with capture_logs() as lines, pytest.raises(RuntimeError):
        await audited(failing)({"type": "http", "method": "POST"}, None, None)  # type: ignore[arg-type]
    assert [line["status"] for line in lines] == [0]
