"""What connectors do and raise, as a client of the interface sees it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest
from tests.integration.services.conftest import Depot, Start, open_again, payment, until

from paymux.bootstrap import Service
from paymux.domain.ids import ConnectorID
from paymux.sdk import (
    AskForLogin,
    BadConfig,
    ConnectorContext,
    Restart,
    Schedule,
    TryAgain,
)

Client = Callable[[Service], Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Speaks HTTP to a service in this process."""
    async with AsyncExitStack() as stack:

        async def client(running: Service) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(app=running.app)
            return await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url="http://x")
            )

        yield client


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """Check that an answer is this error; returns its message."""
    assert (answer.status_code, answer.json()["errorCode"]) == (status, code), answer.text
    return str(answer.json()["errorMessage"])


@pytest.mark.parametrize(("raised", "message"), [
    (PermissionError(13, "Permission denied", "/inbox"), "/inbox: permission denied"),
    (ConnectionRefusedError("nobody home"), "ConnectionRefusedError: nobody home"),
    (TryAgain("not now"), "not now"),
    (AskForLogin("who are you"), "who are you"),
    (RuntimeError("a defect"), "RuntimeError: a defect"),
    (SystemExit(3), "The connector's code raised SystemExit(3)."),
    (asyncio.CancelledError(), "The connector's code raised CancelledError, which nobody had asked for."),
], ids=lambda value: type(value).__name__)  # fmt: skip
async def test_what_a_connector_raises_is_a_400_that_says_it(
    raised: BaseException, message: str, depot: Any, start: Start, client: Client
) -> None:
    """Whatever it is, in each step; 503 is for our database, and 500 for our own defects."""
    running = await start(depot, worker=False)
    http = await client(running)

    async def fail(_: Depot, __: ConnectorContext) -> None:
        raise raised

    for step in "checking", "installing":
        depot.checking = depot.installing = None
        setattr(depot, step, fail)
        answer = await http.post("/connectors/depot", json={})
        assert refused(answer, 400, "VALIDATION") == f"The connector's install failed: {message}"
        assert (await http.get("/connectors")).json() == {"data": []}


async def test_a_database_out_of_reach_is_a_503_until_it_is_back(
    database_url: str, start: Start, client: Client, tmp_path: Path
) -> None:
    """Nothing is lost with it: the same process answers again."""
    socket = parse_qs(urlsplit(database_url).query)["host"][0]
    (tmp_path / "pg").symlink_to(socket)
    http = await client(
        await start(worker=False, url=database_url.replace(quote(socket, safe="/"), f"{tmp_path}/pg"))
    )
    assert (await http.get("/connectors")).status_code == 200

    (tmp_path / "pg").unlink()
    admin = await asyncpg.connect(database_url)
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    for _ in range(3):
        assert "Try again" in refused(await http.get("/connectors"), 503, "INTERNAL")
    (tmp_path / "pg").symlink_to(socket)
    assert (await http.get("/connectors")).status_code == 200
    await admin.close()


async def test_configs_over_http(depot: Any, start: Start, client: Client) -> None:
    """Read, change and send back; with an id or without; fields that are wrong are named."""
    running = await start(depot, worker=False)
    http = await client(running)
    identity = (await http.post("/connectors/depot", json={"key": "sesame-1"})).json()["data"]["connectorID"]
    for path in "/connectors/depot/config", f"/api/payments/connectors/DEPOT/{identity}/config":
        shown = (await http.get(path)).json()["data"]
        assert shown["key"] == "********"
        changed = await http.post(path, json={**shown, "every": "2h", "mood": path})
        assert (changed.status_code, changed.content) == (204, b"")
        assert (await http.get(path)).json()["data"] == {**shown, "every": "2h0m0s", "mood": path}
        wrong = await http.post(path, json={"every": "soon", "colour": "red"})
        refused(wrong, 400, "VALIDATION")
        assert wrong.json()["details"].keys() == {"every", "colour"}
        refused(await http.post(path, content=b"[]"), 400, "MISSING_OR_INVALID_BODY")
    unknown = ConnectorID("DEPOT", uuid4()).encode()
    refused(await http.post(f"/connectors/depot/{unknown}/config", json={}), 404, "NOT_FOUND")
    await http.post("/connectors/depot", json={"name": "taken"})
    refused(await http.post("/connectors/depot/config", json={}), 400, "INVALID_ID")
    answer = await http.post(f"/connectors/depot/{identity}/config", json={"name": "TAKEN"})
    refused(answer, 400, "CONFLICT")


async def test_a_bad_config_says_which_field_in_every_way(depot: Any, start: Start, client: Client) -> None:
    """Also when the connector's own check finds it."""
    running = await start(depot, worker=False)

    async def check(_: Depot, __: ConnectorContext) -> None:
        raise BadConfig(fields={"key": "the provider does not know it"})

    depot.checking = check
    answer = await (await client(running)).post("/connectors/depot", json={"key": "sesame-1"})
    assert refused(answer, 400, "VALIDATION") == "key: the provider does not know it"
    assert answer.json()["details"] == {"key": "the provider does not know it"}


async def test_a_reset_over_http(depot: Any, start: Start, client: Client) -> None:
    """204 at once; the list shows it in progress; what is not possible meanwhile is a 409."""
    running = await start(depot)
    http = await client(running)
    identity = (await http.post("/connectors/depot", json={})).json()["data"]["connectorID"]
    go = asyncio.Event()

    async def hang(_: Depot, __: ConnectorContext) -> None:
        await go.wait()

    depot.installing = hang
    assert (await http.post("/connectors/depot/reset")).status_code == 204
    (listed,) = (await http.get("/connectors")).json()["data"]
    assert (listed["connectorID"], listed["status"]) == (identity, "RESETTING")
    assert (await http.get("/connectors/depot")).json()["cursor"]["data"] == []
    for path in "reset", f"set-aside/{uuid4()}/replay", "set-aside/replay":
        refused(await http.post(f"/connectors/depot/{identity}/{path}"), 409, "CONFLICT")
    refused(await http.post("/connectors/depot/reset"), 409, "CONFLICT")
    assert (await http.post("/connectors/depot/config", json={"mood": "new"})).status_code == 204
    go.set()
    await open_again(running, ConnectorID.parse(identity))
    (listed,) = (await http.get("/connectors")).json()["data"]
    assert (listed["connectorID"], listed["status"], listed["error"]) == (identity, "INSTALLED", "")
    assert (await http.get("/connectors/depot/config")).json()["data"]["mood"] == "new"


async def test_replaying_over_http(replayer: Any, start: Start, client: Client) -> None:
    """One: the record, marked, or why not. All: how many there are."""
    running = await start(replayer)
    http = await client(running)

    async def aside(self: Depot, ctx: ConnectorContext) -> None:
        await ctx.schedule(self.aside(["one", "two"]), Schedule.now(), Restart.NEVER)

    replayer.installing = aside
    identity = (await http.post("/connectors/replayer", json={})).json()["data"]["connectorID"]
    path = f"/connectors/replayer/{identity}/set-aside"

    async def listed() -> Any:
        rows = (await http.get(path)).json()["cursor"]["data"]
        return {row["raw"]: row for row in rows} if len(rows) == 2 else None

    records = await until(listed)
    assert {row["replayedAt"] for row in records.values()} == {None}
    replayer.replaying = staticmethod(lambda _: None)
    one = f"{path}/{records['one']['id']}/replay"
    assert "still unknown to us" in refused(await http.post(one), 409, "CONFLICT")
    replayer.replaying = staticmethod(lambda raw: [payment(raw)])
    answer = await http.post(one)
    assert answer.status_code == 200
    assert answer.json()["data"]["replayedAt"] is not None
    assert answer.json()["data"]["id"] == records["one"]["id"]

    everything = await http.post(f"{path}/replay")
    assert (everything.status_code, everything.json()) == (202, {"data": {"replaying": 1}})

    async def both_replayed() -> bool:
        return all(row["replayedAt"] for row in (await listed()).values())

    await until(both_replayed)
    refused(await http.post(f"{path}/{uuid4()}/replay"), 404, "NOT_FOUND")
    refused(await http.post(f"{path}/nonsense/replay"), 400, "INVALID_ID")


async def test_an_installation_without_its_connector_over_http(
    depot: Any, start: Start, client: Client
) -> None:
    """Listed, its config masked whole, and uninstalled as any other."""
    await (await start(depot, worker=False)).installing.install("depot", {"mood": "sesame-mood"})
    running = await start(worker=False)
    http = await client(running)
    (listed,) = (await http.get("/connectors")).json()["data"]
    assert (await http.get("/connectors/depot/config")).json()["data"] == {
        "provider": "DEPOT", "name": "depot", "mood": "********", "every": "********", "key": "********",
    }  # fmt: skip
    for verb in "reset", "config":
        refused(await http.post(f"/connectors/depot/{verb}"), 404, "NOT_FOUND")
    gone = await http.delete(f"/connectors/depot/{listed['connectorID']}")
    assert gone.status_code == 204
    assert (await http.get("/connectors")).json() == {"data": []}
