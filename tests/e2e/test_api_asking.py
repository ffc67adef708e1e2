"""Asking lists for something in particular: filters, orders, everything at once, accounts and balances."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.e2e.conftest import STOCKED
from tests.e2e.service import PREFIXES, Service, encoded, refused

from paymux.domain.ids import ConnectorID, account_id, row_key

NDJSON = {"Accept": "application/x-ndjson"}
# A provider's name that no database text can hold.
NOBODY = encoded(
    {"ConnectorID": {"Provider": "\0", "Reference": "0" * 32}, "Reference": "x", "Type": "PAYOUT"}
)
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
_ACCOUNT = """
INSERT INTO account (key, installation, reference, type, name, default_asset, metadata, raw, hash, created_at)
SELECT $1, id, $3, $4, $5, $6, $7::jsonb, $8, $1, $9 FROM installation WHERE uuid = $2 RETURNING key
"""
_BALANCE = """
INSERT INTO balance (account, asset, created_at, last_updated_at, amount) VALUES ($1, $2, $3, $4, $5)
RETURNING account
"""

_FORGET_BALANCES = """
DELETE FROM balance b USING account a, installation i
WHERE b.account = a.key AND a.installation = i.id AND i.uuid = $1
"""
_FORGET_ACCOUNTS = "DELETE FROM account a USING installation i WHERE a.installation = i.id AND i.uuid = $1"


@pytest.fixture(scope="module")
def holder(process: Service, stocked: str) -> Iterator[ConnectorID]:
    """The stocked installation with accounts, which no connector here reports, and what one of them held."""
    connector = ConnectorID.parse(stocked)
    rows = [
        ("main", "INTERNAL", "Main", "EUR/2", '{"team": "treasury"}', '{\n"iban": "x"}', NOON),
        ("other", "EXTERNAL_FORMANCE", "Other", "", None, None, NOON + HOUR),
        ("third", "UNKNOWN", "", "", None, None, NOON + 2 * HOUR),
    ]
    for reference, *rest in rows:
        process.sql(_ACCOUNT, key(connector, reference), connector.reference, reference, *rest)
    for minor, since, until in ((100, 0, 2), (250, 2, 3), (100, 3, 4)):
        process.sql(
            _BALANCE, key(connector, "main"), "EUR/2", NOON + since * HOUR, NOON + until * HOUR, minor
        )
    process.sql(_BALANCE, key(connector, "main"), "JPY", NOON, NOON, 7)
    yield connector
    process.sql(_FORGET_BALANCES, connector.reference)
    process.sql(_FORGET_ACCOUNTS, connector.reference)


def key(connector: ConnectorID, reference: str) -> UUID:
    return row_key(connector.reference, "account", reference)


def ask(service: Service, path: str, query: Any = None, **params: Any) -> list[dict[str, Any]]:
    """Everything that a filter finds."""
    said = params | ({} if query is None else {"query": json.dumps(query)})
    return service.walk(path, **said)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.usefixtures("stocked")
def test_a_filter_may_come_as_the_body(service: Service, prefix: str) -> None:
    """As the tutorial's service takes it; nothing, and nothing in an object, asks for everything."""
    wire = {"$match": {"status": "PENDING"}}
    for path in (f"{prefix}/payments", f"{prefix}/connectors/pier"):
        answer = service.http.request("GET", path, json=wire, params={"pageSize": "10"})
        page = answer.json()["cursor"]
        assert page == service.get(path, query=json.dumps(wire), pageSize="10")["cursor"]
        assert {row["status"] for row in page["data"]} == {"PENDING"}
        rest = service.http.request("GET", path, json=wire, params={"cursor": page["next"]}).json()["cursor"]
        assert rest == service.get(path, cursor=page["next"])["cursor"]
        assert service.http.request("GET", path, content=b"{}").json() == service.get(path)
    both = service.http.request("GET", "/payments", json=wire, params={"query": json.dumps(wire)})
    refused(both, 400, "VALIDATION")
    for body in (b"[]", b"{", b'"$match"'):
        refused(service.http.request("GET", "/payments", content=body), 400, "MISSING_OR_INVALID_BODY")
    twice = b'{"$match": {"status": "PENDING", "status": "FAILED"}}'
    answer = service.http.request("GET", "/payments", content=twice)
    assert "twice" in refused(answer, 400, "MISSING_OR_INVALID_BODY")
    assert len(ask(service, "/payments", wire)) == STOCKED // 2


@pytest.mark.parametrize(
    ("wire", "count"),
    [
        ({"$not": {"$match": {"status": "PENDING"}}}, STOCKED // 2),
        ({"$or": [{"$match": {"reference": "00"}}, {"$match": {"reference": "01"}}]}, 2),
        ({"$in": {"reference": ["00", "01", "nothing"]}}, 2),
        ({"$like": {"reference": "1%"}}, 10),
        ({"$and": [{"$gte": {"reference": "10"}}, {"$lt": {"reference": "20"}}]}, 10),
        ({"$lt": {"createdAt": "2020-01-02T00:00:00Z"}}, 5),
        ({"$lt": {"createdAt": "2020-01-02T01:00:00+01:00"}}, 5),
        ({"$gt": {"amount": 99}}, STOCKED),
        ({"$gt": {"amount": "100"}}, 0),
        ({"$match": {"provider": "pier"}}, STOCKED),
        ({"$match": {"sourceAccountID": ""}}, STOCKED),
        ({"$exists": {"metadata[x]": True}}, 0),
        ({"$not": {"$match": {"metadata[x]": "y"}}}, STOCKED),
        ({"$match": {"status": "PENDING", "reference": "00"}}, 1),
    ],
)
def test_a_filter_finds_what_it_says(service: Service, stocked: str, wire: Any, count: int) -> None:
    """In any nesting, in the body and in the address."""
    wire = {"$and": [wire, {"$match": {"connectorID": stocked}}]}
    assert len(ask(service, "/payments", wire)) == count
    lines = service.http.request("GET", "/payments", json=wire, headers=NDJSON).text.splitlines()
    assert [json.loads(line) for line in lines] == ask(service, "/payments", wire)


@pytest.mark.parametrize(
    ("wire", "says"),
    [
        ({"$match": {"status": "DONE"}}, "PENDING"),
        ({"$match": {"colour": "red"}}, "createdAt"),
        ({"$match": {"metadata": "red"}}, "metadata[key]"),
        ({"$match": {"metadata[]": "red"}}, "metadata[key]"),
        ({"$equals": {"status": "PENDING"}}, "$match"),
        ({"$like": {"amount": "1%"}}, "$match"),
        ({"$gt": {"amount": 1.5}}, "whole number"),
        ({"$gt": {"amount": True}}, "whole number"),
        ({"$gt": {"createdAt": "yesterday"}}, "RFC 3339"),
        ({"$match": {"asset": "eur"}}, "EUR/2"),
        ({"$match": {"connectorID": "x"}}, "identifier"),
        ({"$match": {"id": NOBODY}}, "NUL"),
        ({"$match": {"reference": None}}, "$exists"),
        ({"$in": {"status": []}}, "list"),
        ({"$in": {"status": "PENDING"}}, "list"),
        ({"$exists": {"status": "yes"}}, "true or false"),
        ({"$like": {"reference": "a\\"}}, "backslash"),
        ({"$and": []}, "one or more"),
        ({"$and": {"$match": {"status": "PENDING"}}}, "one or more"),
        ({"$match": {"reference": "a"}, "$gt": {"amount": 1}}, "$and"),
        ({"$or": [{"$match": {"reference": "a"}}] * 101}, "100"),
        ({"$in": {"reference": ["a"] * 101}}, "100"),
        ({"$match": {"reference": "a" * 20_000}}, "16384"),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_says_what_can(service: Service, wire: Any, says: str) -> None:
    """400 VALIDATION, by the body as by the address."""
    answer = service.http.request("GET", "/payments", json=wire)
    assert says in refused(answer, 400, "VALIDATION")
    assert answer.json()["errorMessage"].startswith("query: ")


def test_a_filter_of_any_depth_is_answered_or_refused(service: Service) -> None:
    """And never breaks anything."""
    for depth, status in ((10, 200), (16, 400), (50, 400), (5000, 400)):
        wire = '{"$not":' * depth + '{"$match": {"status": "PENDING"}}' + "}" * depth
        assert service.http.request("GET", "/payments", content=wire).status_code == status


@pytest.mark.parametrize(
    "sort",
    ["createdAt:asc", "createdAt:desc", "reference:asc", "reference:desc", "status:desc", "amount:asc",
     "connectorID:desc", "provider:asc", "id:asc", ["status:asc", "reference:desc"],
     "status:desc,createdAt:asc"],
)  # fmt: skip
@pytest.mark.usefixtures("stocked")
def test_a_list_comes_in_the_order_asked_for(service: Service, sort: Any) -> None:
    """Each payment once, over any number of pages, and back again."""
    page = service.http.get("/payments", params={"sort": sort, "pageSize": "7"}).json()["cursor"]
    pages = [page]
    while "next" in page:
        page = service.get("/payments", cursor=page["next"])["cursor"]
        pages.append(page)
    for there in pages[-2::-1]:
        page = service.get("/payments", cursor=page["previous"])["cursor"]
        assert page["data"] == there["data"]
    rows = [row for one in pages for row in one["data"]]
    assert len({row["id"] for row in rows}) == len(rows) == STOCKED
    names = [one.split(":") for one in ([sort] if isinstance(sort, str) else sort)[0].split(",")]
    name, way = names[0]
    if name != "id":
        assert [row[name] for row in rows] == sorted((row[name] for row in rows), reverse=way == "desc")
    if isinstance(sort, list):
        assert rows == sorted(
            sorted(rows, key=lambda row: row["reference"], reverse=True), key=lambda row: row["status"]
        )


@pytest.mark.parametrize(
    "sort",
    ["colour", "colour:asc", "status:up", "status:asc:desc", "metadata[x]:asc", "status,status:desc",
     "type,status,scheme,asset,amount,reference", "; DROP TABLE payment"],
)  # fmt: skip
def test_an_order_that_cannot_be_is_refused(service: Service, sort: str) -> None:
    """And nothing of it comes near the database."""
    assert refused(service.http.get("/payments", params={"sort": sort}), 400, "VALIDATION").startswith(
        "sort: "
    )


@pytest.mark.usefixtures("stocked")
def test_an_order_stays_with_its_cursor(service: Service) -> None:
    """Alone or said again; another one does not fit it."""
    page = service.get("/payments", sort="reference:asc", pageSize="5")["cursor"]
    alone = service.get("/payments", cursor=page["next"])
    assert service.get("/payments", cursor=page["next"], sort="reference:asc", pageSize="9") == alone
    assert [row["reference"] for row in alone["cursor"]["data"]] == ["05", "06", "07", "08", "09"]
    other = service.http.get("/payments", params={"cursor": page["next"], "sort": "reference:desc"})
    refused(other, 400, "VALIDATION")


@pytest.mark.usefixtures("holder")
@pytest.mark.parametrize("path", ["/payments", "/connectors/pier", "/accounts"])
def test_everything_comes_as_lines(service: Service, path: str) -> None:
    """The same rows as by pages, in the same order, each a line."""
    answer = service.http.get(path, params={"sort": "reference:asc"}, headers=NDJSON)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in answer.text.splitlines()] == service.walk(path, sort="reference:asc")
    wrong = service.http.get(path, params={"sort": "colour"}, headers=NDJSON)
    refused(wrong, 400, "VALIDATION")
    cursor = service.get(path, pageSize="1")["cursor"]["next"]
    refused(service.http.get(path, params={"cursor": cursor}, headers=NDJSON), 400, "VALIDATION")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_account_is_shown_as_its_provider_has_it(
    service: Service, holder: ConnectorID, prefix: str
) -> None:
    """In the list and by itself."""
    rows = ask(service, f"{prefix}/accounts", {"$match": {"connectorID": holder.encode()}})
    assert [row["reference"] for row in rows] == ["third", "other", "main"]
    main = rows[2]
    assert main == {
        "id": account_id(holder, "main"), "reference": "main", "createdAt": "2024-05-01T12:00:00Z",
        "connectorID": holder.encode(), "provider": "PIER", "defaultCurrency": "EUR/2",
        "defaultAsset": "EUR/2",
        "accountName": "Main", "type": "INTERNAL", "metadata": {"team": "treasury"}, "pools": [],
        "raw": {"iban": "x"},
    }  # fmt: skip
    assert [row["type"] for row in rows] == ["UNKNOWN", "EXTERNAL", "INTERNAL"]
    assert (rows[0]["metadata"], rows[0]["raw"]) == (None, None)
    for row in rows:
        assert service.get(f"{prefix}/accounts/{row['id']}") == {"data": row}


@pytest.mark.parametrize(
    ("wire", "found"),
    [
        ({"$match": {"metadata[team]": "treasury"}}, ["main"]),
        ({"$match": {"type": "EXTERNAL"}}, ["other"]),
        ({"$not": {"$exists": {"accountName": True}}}, ["third"]),
        ({"$match": {"defaultAsset": "EUR/2"}}, ["main"]),
        ({"$gt": {"createdAt": "2024-05-01T12:30:00Z"}}, ["third", "other"]),
        ({"$like": {"accountName": "%t%"}}, ["other"]),
        ({"$match": {"reference": "main"}}, ["main"]),
    ],
)
@pytest.mark.usefixtures("holder")
def test_accounts_are_filtered(service: Service, wire: Any, found: list[str]) -> None:
    """By every column, as payments are."""
    assert [row["reference"] for row in ask(service, "/accounts", wire)] == found


def test_what_an_account_held(service: Service, holder: ConnectorID) -> None:
    """As intervals, newest first; by asset, by span, at a time, and after the last poll."""
    path = f"/accounts/{account_id(holder, 'main')}/balances"
    rows = service.walk(path)
    assert [(row["asset"], row["balance"]) for row in rows] == [
        ("EUR/2", 100), ("EUR/2", 250), ("JPY", 7), ("EUR/2", 100),
    ]  # fmt: skip
    assert rows[0] == {
        "accountId": account_id(holder, "main"), "createdAt": "2024-05-01T15:00:00Z",
        "lastUpdatedAt": "2024-05-01T16:00:00Z", "currency": "EUR/2", "asset": "EUR/2", "balance": 100,
    }  # fmt: skip

    def held(**params: str) -> list[int]:
        return [row["balance"] for row in service.walk(path, **params)]

    assert held(asset="JPY/0") == [7]
    assert held(asset="EUR/2", at="2024-05-01T14:30:00Z") == [250]
    assert held(at="2030-01-01T00:00:00Z") == [100, 7]
    assert held(at="2020-01-01T00:00:00Z") == []
    later = "2029-01-01T00:00:00Z"
    assert held(**{"from": later}) == held(**{"from": later, "to": later}) == [100, 7]
    assert held(to="2024-05-01T12:30:00Z", asset="EUR/2") == [100]
    assert held(sort="balance:asc") == [7, 100, 100, 250]
    assert held(query=json.dumps({"$gt": {"balance": 99}}), asset="EUR/2") == [100, 250, 100]
    page = service.get(path, asset="EUR/2", limit="2")["cursor"]
    assert (page["pageSize"], page["hasMore"]) == (2, True)
    rest = service.get(path, cursor=page["next"])["cursor"]
    assert [row["balance"] for row in page["data"] + rest["data"]] == [100, 250, 100]
    assert service.walk(f"/accounts/{account_id(holder, 'third')}/balances") == []


def test_a_question_about_balances_that_makes_no_sense(service: Service, holder: ConnectorID) -> None:
    """Names the parameter."""
    path = f"/accounts/{account_id(holder, 'main')}/balances"
    for name, value in (
        ("from", "now"),
        ("to", "2024-05-01"),
        ("at", "x"),
        ("asset", "euro"),
        ("limit", "-1"),
    ):
        message = refused(service.http.get(path, params={name: value}), 400, "VALIDATION")
        assert name in message or name == "limit"
    refused(service.http.get(path, params={"at": "2024-05-01T12:00:00Z", "to": "2024-05-01T12:00:00Z"}), 400,
            "VALIDATION")  # fmt: skip
    own = service.get(path, limit="1")["cursor"]["next"]
    other = f"/accounts/{account_id(holder, 'other')}/balances"
    refused(service.http.get(other, params={"cursor": own}), 400, "VALIDATION")


def test_an_account_that_is_not_there(service: Service, holder: ConnectorID) -> None:
    """400 for what is no account's id, 404 for an account nobody has told of."""
    swapped = account_id(ConnectorID("EXAMPLE", holder.reference), "main")
    for path in ("", "/balances"):
        refused(service.http.get(f"/accounts/abc{path}"), 400, "INVALID_ID")
        for stranger in (account_id(holder, "nobody"), swapped):
            refused(service.http.get(f"/accounts/{stranger}{path}"), 404, "NOT_FOUND")


def test_an_export_needs_no_more_memory_than_a_page(service: Service, stocked: str) -> None:
    """However many rows there are, and though they all have the same time: each comes once."""
    count, kilobytes = 20_000, 4
    service.sql(
        "INSERT INTO account (key, installation, reference, type, raw, created_at)"
        " SELECT gen_random_uuid(), i.id, 'bulk ' || n, 'EXTERNAL',"
        " to_json(repeat('x', $2))::text, '2024-01-01Z'"
        " FROM installation i, generate_series(1, $1) AS n WHERE i.uuid = $3",
        count, kilobytes * 1024, ConnectorID.parse(stocked).reference,
    )  # fmt: skip
    try:
        service.get("/accounts", pageSize="100")
        before = peak(service.pid)
        met: set[str] = set()
        lines = 0
        asked = {"query": json.dumps({"$like": {"reference": "bulk %"}})}
        with service.http.stream("GET", "/accounts", headers=NDJSON, params=asked) as answer:
            for line in answer.iter_lines():
                lines += 1
                met.add(line[: line.index(",")])
        assert lines == len(met) == count
        assert peak(service.pid) - before < count * kilobytes // 4
    finally:
        service.sql("DELETE FROM account WHERE reference LIKE 'bulk %'")


def peak(pid: int) -> int:
    """The most memory that a process has ever had, in kilobytes."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0])
