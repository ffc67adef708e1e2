"""Pools over HTTP: made, changed, asked, and every nonsense refused."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.e2e.service import PREFIXES, Service, eventually, refused

from paymux.domain.ids import ConnectorID, account_id, row_key

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOBODY = "00000000-0000-0000-0000-000000000000"
_ACCOUNT = """
INSERT INTO account (key, installation, reference, type, created_at)
SELECT $1, id, $3, 'INTERNAL', $4 FROM installation WHERE uuid = $2 RETURNING key
"""
_BALANCE = """
INSERT INTO balance (account, asset, created_at, last_updated_at, amount) VALUES ($1, $2, $3, $3, $4)
RETURNING account
"""
_FORGET = """
WITH gone AS (DELETE FROM account a USING installation i
              WHERE a.installation = i.id AND i.uuid = $1 AND a.reference LIKE 'pooled%' RETURNING a.key)
DELETE FROM balance WHERE account IN (SELECT key FROM gone)
"""


@pytest.fixture(scope="module")
def pooled(process: Service, stocked: str) -> Iterator[list[str]]:
    """Three accounts that hold something; the last one in another asset, and later."""
    connector = ConnectorID.parse(stocked)
    said = [("pooled 1", "EUR/2", 10**30, 0), ("pooled 2", "EUR/2", -1, 1), ("pooled é", "JPY", 5, 2)]
    for reference, asset, amount, hours in said:
        key = row_key(connector.reference, "account", reference)
        process.sql(_ACCOUNT, key, connector.reference, reference, NOON)
        process.sql(_BALANCE, key, asset, NOON + timedelta(hours=hours), amount)
    yield [account_id(connector, reference) for reference, *_ in said]
    process.sql(_FORGET, connector.reference)


@pytest.fixture
def pool(service: Service, pooled: list[str]) -> Iterator[dict[str, Any]]:
    """A pool of the first two."""
    answer = service.http.post("/pools", json={"name": "treasury", "accountIDs": pooled[:2]})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()["data"]
    yield made
    service.http.delete(f"/pools/{made['id']}")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_pool_from_its_making_to_its_end(service: Service, pooled: list[str], prefix: str) -> None:
    """Every route once, and what it has done is seen by the others."""
    pools = f"{prefix}/pools"
    start = len(service.log())
    made = service.http.post(pools, json={"name": "naïve \u202e\U0001f4b6", "accountIDs": pooled[:1]})
    assert made.status_code == 200
    pool = made.json()["data"]
    path = f"{pools}/{pool['id']}"
    assert pool == {"id": str(UUID(pool["id"])), "name": "naïve \u202e\U0001f4b6", "accounts": pooled[:1]}
    assert service.get(path) == {"data": pool}
    assert service.get(pools)["cursor"]["data"] == [pool]
    assert service.get(f"{prefix}/accounts/{pooled[0]}")["data"]["pools"] == [pool["id"]]

    for _ in range(2):
        answer = service.http.post(f"{path}/accounts", json={"accountID": pooled[1]})
        assert (answer.status_code, answer.content) == (204, b"")
    assert sorted(service.get(path)["data"]["accounts"]) == sorted(pooled[:2])
    assert service.http.delete(f"{path}/accounts/{pooled[0]}").status_code == 204
    assert service.get(path)["data"]["accounts"] == pooled[1:2]
    refused(service.http.delete(f"{path}/accounts/{pooled[0]}"), 404, "NOT_FOUND")

    assert service.http.delete(path).status_code == 204
    refused(service.http.delete(path), 404, "NOT_FOUND")
    refused(service.http.get(path), 404, "NOT_FOUND")
    assert service.get(f"{prefix}/accounts/{pooled[1]}")["data"]["pools"] == []

    def told() -> list[str]:
        lines = service.lines(start, containing=pool["id"])
        return [line["type"] for line in lines if line["msg"] == "Publishing message"]

    eventually(lambda: told() == ["SAVED_POOL"] * 3 + ["DELETED_POOL"], told)


def test_sums_are_exact_at_any_time(service: Service, pooled: list[str], pool: dict[str, Any]) -> None:
    """Before anything was known, between, and long after the last look."""
    path = f"/pools/{pool['id']}/balances"
    assert service.get(path, at="2024-05-01T11:59:59Z") == {"data": {"balances": []}}
    assert service.get(path, at="2024-05-01T12:30:00Z")["data"]["balances"] == [
        {"amount": 10**30, "asset": "EUR/2"}
    ]
    # A plus that nobody has encoded.
    assert service.http.get(f"{path}?at=2024-05-01T14:00:00+01:00").json()["data"]["balances"] == [
        {"amount": 10**30 - 1, "asset": "EUR/2"}
    ]
    service.http.post(f"/pools/{pool['id']}/accounts", json={"accountID": pooled[2]})
    now = [{"amount": 10**30 - 1, "asset": "EUR/2"}, {"amount": 5, "asset": "JPY"}]
    assert service.get(path, at="9999-12-31T23:59:59Z")["data"]["balances"] == now
    assert service.get(f"{path}/latest") == {"data": now}

    for wrong in ({}, {"at": ""}, {"at": "yesterday"}, {"at": "2024-05-01T12:00:00"}):
        assert "at" in refused(service.http.get(path, params=wrong), 400, "VALIDATION")
    for suffix in ("", "/latest"):
        nothing = f"/pools/{NOBODY}/balances{suffix}"
        refused(service.http.get(nothing, params={"at": "2024-05-01T12:00:00Z"}), 404, "NOT_FOUND")


def test_a_list_of_pools_is_a_list(service: Service, pooled: list[str]) -> None:
    """Pages, filters, orders, lines."""
    made = [
        service.http.post("/pools", json={"name": f"list {number}", "accountIDs": pooled}).json()["data"]
        for number in range(3)
    ]
    try:
        first = service.get("/pools", pageSize="2")["cursor"]
        rest = service.get("/pools", cursor=first["next"])["cursor"]
        assert [one["id"] for one in first["data"] + rest["data"]] == [one["id"] for one in made[::-1]]
        for wire in ({"$match": {"id": made[1]["id"]}}, {"$like": {"name": "%1"}}):
            assert service.get("/pools", query=json.dumps(wire))["cursor"]["data"] == [made[1]]
        by_name = service.get("/pools", sort="name:asc")["cursor"]["data"]
        assert [one["name"] for one in by_name] == ["list 0", "list 1", "list 2"]
        lines = service.http.get("/pools", headers={"Accept": "application/x-ndjson"}).text.splitlines()
        assert list(map(json.loads, lines)) == made[::-1]
        wrong = {"query": json.dumps({"$match": {"id": "me"}})}
        assert "UUID" in refused(service.http.get("/pools", params=wrong), 400, "VALIDATION")
    finally:
        for one in made:
            service.http.delete(f"/pools/{one['id']}")


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (None, "MISSING_OR_INVALID_BODY", "body"),
        ([], "MISSING_OR_INVALID_BODY", "object"),
        ({}, "VALIDATION", "name"),
        ({"name": "x"}, "VALIDATION", "accountIDs"),
        ({"name": "x", "accountIDs": []}, "VALIDATION", "accountIDs"),
        ({"name": "x", "accountIDs": None}, "VALIDATION", "accountIDs"),
        ({"name": "", "accountIDs": ["a"]}, "VALIDATION", "name"),
        ({"name": " \n", "accountIDs": ["a"]}, "VALIDATION", "name"),
        ({"name": "x" * 501, "accountIDs": ["a"]}, "VALIDATION", "name"),
        ({"name": "x\0", "accountIDs": ["a"]}, "VALIDATION", "name"),
        ({"name": 1, "accountIDs": ["a"]}, "VALIDATION", "name"),
        ({"name": "x", "accountIDs": [1]}, "VALIDATION", "accountIDs[0]"),
        ({"name": "x", "accountIDs": ["a"]}, "INVALID_ID", "account"),
        ({"name": "x", "accountIDs": ["a"], "colour": 1}, "VALIDATION", "colour"),
    ],
)
def test_what_makes_no_pool_is_told_why(service: Service, body: Any, code: str, says: str) -> None:
    """And nothing is made of it."""
    assert says in refused(service.http.post("/pools", json=body), 400, code)
    assert service.get("/pools")["cursor"]["data"] == []


def test_an_account_that_is_not_there_is_named(
    service: Service, stocked: str, pooled: list[str], pool: dict[str, Any]
) -> None:
    """By its place and its reference, wherever it is named; and so is a name that is taken."""
    connector = ConnectorID.parse(stocked)
    for reference in ("nobody", "x\0", "\U0001f4b6"):
        wrong = account_id(connector, reference)
        answer = service.http.post("/pools", json={"name": "x", "accountIDs": [pooled[0], wrong]})
        message = refused(answer, 400, "VALIDATION")
        assert "accountIDs[1]" in message
        assert ascii(reference)[1:-1] in message or reference in message
        answer = service.http.post(f"/pools/{pool['id']}/accounts", json={"accountID": wrong})
        assert "accountID" in refused(answer, 400, "VALIDATION")
        path = f"/pools/{pool['id']}/accounts/{wrong}"
        refused(service.http.delete(path), 404, "NOT_FOUND")
    again = {"name": pool["name"], "accountIDs": pooled}
    refused(service.http.post("/pools", json=again), 400, "CONFLICT")
    assert service.get("/pools")["cursor"]["data"] == [pool]


texts = st.text(max_size=20) | st.sampled_from(["\0", "\ud800", NOBODY, "..", "%00"])
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "accountIDs", "accountID"]) | texts, inner, max_size=3)
    ),
)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=values, place=st.sampled_from(["", f"/{NOBODY}/accounts", "/x/accounts"]))
def test_nonsense_is_refused(service: Service, body: Any, place: str) -> None:
    """With a status that says whose fault it is, in the shape of an error."""
    answer = service.http.post(f"/pools{place}", content=json.dumps(body).encode())
    assert 400 <= answer.status_code < 500
    assert answer.json().keys() - {"details"} == {"errorCode", "errorMessage"}
