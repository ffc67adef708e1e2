"""Payments, accounts and metadata that people bring in, over HTTP."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.e2e.service import Service, encoded, eventually, payment_file, refused

from paymux.domain.ids import ConnectorID, account_id, payment_id
from paymux.domain.payment import PaymentScheme, PaymentStatus, PaymentType

PAYMENT = {
    "reference": "by hand",
    "createdAt": "2024-05-01T12:00:00Z",
    "amount": 10050,
    "type": "PAY-IN",
    "status": "PENDING",
    "scheme": "sepa",
    "asset": "EUR/2",
}
ACCOUNT = {"reference": "till", "createdAt": "2024-05-01T12:00:00Z", "type": "INTERNAL"}
# What programs are known to stumble over.
NAUGHTY = [
    " ",
    " leading and trailing ",
    "null",
    "undefined",
    "0",
    "NaN",
    "true",
    "\\",
    "\\u0000",
    "%00",
    "%2e%2e%2f",
    "../../etc/passwd",
    "a/b?c=d#e&f",
    "'; DROP TABLE payment; --",
    "$1 {where} %s %(x)s {0} ${jndi:x}",
    '"quoted" \'single\' `back`',
    "<script>alert(1)</script>",
    "tab\tnewline\ncarriage\rreturn\x1f\x7f",
    "\u200b\u200e\u202ehidden\ufeff",
    "שלום עולם",
    "مرحبا",
    "日本語 ﷽ Ω≈ç√",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "e\u0301 \u00e9",
    "\ufffd\uffff\U0010ffff",
    "zA̡͓̞l͖g̡͓o",
    "ﬀ ß İ \u0131",
    "x" * 2000,
    "💶" * 500,
]  # fmt: skip


@pytest.fixture
def connector(service: Service, directory: Path) -> str:
    """An installation that watches an empty directory."""
    return service.install(directory=str(directory))


def parsed(connector: str) -> ConnectorID:
    """The parts of its identifier."""
    return ConnectorID.parse(connector)


def post(service: Service, connector: str, **changes: Any) -> Any:
    """Create a payment that must be creatable; ``connectorID`` is given."""
    answer = service.http.post("/payments", json=PAYMENT | {"connectorID": connector} | changes)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


@pytest.mark.parametrize("prefix", ["", "/api/payments"])
def test_a_payment_is_created(service: Service, connector: str, prefix: str) -> None:
    """As it was sent, with its account as a stub, in the list, by its id and in an event."""
    source = account_id(parsed(connector), "acc 1")
    body = PAYMENT | {"connectorID": connector, "sourceAccountID": source, "destinationAccountID": ""}
    answer = service.http.post(f"{prefix}/payments", json=body)
    assert answer.status_code == 200
    made = answer.json()["data"]

    assert made["id"] == payment_id(parsed(connector), "by hand", "PAY-IN")
    assert {key: made[key] for key in body} == body
    assert (made["provider"], made["initialAmount"], made["metadata"]) == ("EXAMPLE", 10050, None)
    assert made["raw"] == made["adjustments"][0]["raw"] == body
    assert service.get(f"/payments/{made['id']}")["data"] == made
    assert service.payments(connector) == [made]
    assert service.get(f"/accounts/{source}")["data"]["type"] == "UNKNOWN"
    key, told = eventually(lambda: service.events(connector), service.log)[0]
    assert key
    assert (told["id"], told["amount"], told["sourceAccountId"]) == (made["id"], 10050, source)


def test_the_same_payment_again_is_the_same(service: Service, connector: str) -> None:
    """Nothing is new: no report, no event."""
    first = post(service, connector)

    assert post(service, connector) == first
    assert post(service, connector, asset="EUR/2", scheme="SEPA") == first
    eventually(lambda: service.events(connector), service.log)
    assert len(service.events(connector)) == 1


def test_another_report_is_of_the_same_payment(service: Service, connector: str) -> None:
    """It keeps the id that it has, also when the type changes; either id finds it."""
    first = post(service, connector)
    second = post(service, connector, status="SUCCEEDED", type="TRANSFER", amount=9000)

    assert second["id"] == first["id"]
    assert (second["type"], second["amount"], second["initialAmount"]) == ("TRANSFER", 9000, 10050)
    assert [(one["status"], one["amount"]) for one in second["adjustments"]] == [
        ("SUCCEEDED", 9000),
        ("PENDING", 10050),
    ]
    other = payment_id(parsed(connector), "by hand", "TRANSFER")
    assert service.get(f"/payments/{other}")["data"] == second
    assert service.payments(connector) == [second]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        *(({name: None}, name) for name in PAYMENT),
        ({"connectorID": "abc"}, "connectorID"),
        ({"reference": ""}, "reference"),
        ({"reference": "x" * 2001}, "reference"),
        ({"reference": "\x01" * 1990}, "reference"),
        ({"createdAt": "2024-05-01"}, "createdAt"),
        ({"createdAt": "2024-05-01T12:00:00"}, "createdAt"),
        ({"createdAt": "0001-01-01T00:00:00Z"}, "createdAt"),
        ({"createdAt": "2099-01-01T00:00:00Z"}, "createdAt"),
        ({"createdAt": 1714564800}, "createdAt"),
        ({"amount": -1}, "amount"),
        ({"amount": 1.0}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"amount": "1"}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": 10**78}, "amount"),
        ({"type": "PAYIN"}, "type"),
        ({"status": "succeeded"}, "status"),
        ({"scheme": "pigeon"}, "scheme"),
        ({"asset": "eur/2"}, "asset"),
        ({"asset": "EUR/02"}, "asset"),
        ({"asset": ""}, "asset"),
        ({"sourceAccountID": "abc"}, "sourceAccountID"),
        ({"destinationAccountID": account_id(ConnectorID("EXAMPLE", uuid4()), "a")}, "destinationAccountID"),
        ({"sourceAccountId": ""}, "sourceAccountId"),
    ],
)  # fmt: skip
def test_a_payment_that_makes_no_sense_is_refused(
    service: Service, connector: str, changes: dict[str, Any], field: str
) -> None:
    """The field is named, in the message and in the details, and nothing is recorded."""
    answer = service.http.post("/payments", json=PAYMENT | {"connectorID": connector} | changes)

    assert refused(answer, 400, "VALIDATION").startswith(f"{field}: ")
    assert answer.json()["details"].keys() == {field}
    assert service.payments(connector) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"a": 1, "a": 2}',
        b'{"amount": NaN}',
        b'{"x": "\xff"}',
        b'{"x":' * 1000 + b"1" + b"}" * 1000,
        b'{"amount": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: ascii(body)[:20],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/payments"), ("POST", "/accounts"), ("PATCH", "/m")])
def test_a_body_that_is_none_is_refused(
    service: Service, connector: str, method: str, path: str, body: bytes
) -> None:
    """Whatever is wrong with it, the answer says it."""
    if path == "/m":
        path = f"/payments/{post(service, connector)['id']}/metadata"
    refused(service.http.request(method, path, content=body), 400, "MISSING_OR_INVALID_BODY")


@pytest.mark.parametrize("text", ["\\u0000", "a\\u0000b", "\\ud800", "\\ude00\\ud83d"])
def test_text_that_cannot_be_stored_is_refused(service: Service, connector: str, text: str) -> None:
    """By its field, in a body of any kind; what cannot be a name of one neither."""
    made = post(service, connector)
    for path in ("/payments", "/accounts", f"/payments/{made['id']}/metadata", "/connectors/example"):
        method = "PATCH" if path.endswith("metadata") else "POST"
        answer = service.http.request(method, path, content=f'{{"note": "{text}"}}')
        assert refused(answer, 400, "VALIDATION").startswith("note: holds ")
        answer = service.http.request(method, path, content=f'{{"{text}": "note"}}')
        refused(answer, 400, "MISSING_OR_INVALID_BODY")


def test_a_body_that_is_too_large_is_refused(service: Service) -> None:
    """Before it is read."""
    refused(service.http.post("/payments", content=b"x" * (3 << 20)), 413, "MISSING_OR_INVALID_BODY")
    pieces = (b"x" * (1 << 20) for _ in range(3))  # whose length nobody says beforehand
    refused(service.http.post("/payments", content=pieces), 413, "MISSING_OR_INVALID_BODY")


def test_where_there_is_no_installation(service: Service) -> None:
    """Of the payment, of the account, or at all."""
    gone = ConnectorID("EXAMPLE", uuid4())
    for path, body in ("/payments", PAYMENT), ("/accounts", ACCOUNT):
        answer = service.http.post(path, json=body | {"connectorID": gone.encode()})
        refused(answer, 404, "NOT_FOUND")
    unknown = payment_id(gone, "x", "PAY-IN")
    refused(service.http.patch(f"/payments/{unknown}/metadata", json={"k": "v"}), 404, "NOT_FOUND")
    refused(service.http.get(f"/payments/{unknown}/metadata/history"), 404, "NOT_FOUND")
    refused(service.http.get(f"/accounts/{account_id(gone, 'x')}/history"), 404, "NOT_FOUND")
    refused(service.http.patch("/payments/x/metadata", json={"k": "v"}), 400, "INVALID_ID")
    refused(service.http.post("/connectors/no-such/transfers", json={}), 404, "NOT_FOUND")


def test_every_word_of_the_contract_is_taken(service: Service, connector: str) -> None:
    """All types, statuses and schemes, assets with and without decimals, and integers of any size."""
    for kind in PaymentType:
        assert post(service, connector, reference=kind, type=kind)["type"] == kind
    for status in PaymentStatus:
        assert post(service, connector, reference=status, status=status)["status"] == status
    for scheme in PaymentScheme:
        made = post(service, connector, reference=scheme, scheme=scheme.upper())
        assert made["scheme"] == scheme
    for asset, shown in ("JPY", "JPY"), ("JPY/0", "JPY"), ("ETH/18", "ETH/18"), ("USDC/6", "USDC/6"):
        made = post(service, connector, reference=f"in {asset}", asset=asset, amount=10**77 + 1)
        assert (made["asset"], made["amount"]) == (shown, 10**77 + 1)


def test_an_account_is_created_and_described_anew(service: Service, connector: str) -> None:
    """What it said before is in its history."""
    body = ACCOUNT | {"connectorID": connector}
    first = service.http.post("/accounts", json=body).json()["data"]
    assert first["id"] == account_id(parsed(connector), "till")
    assert {key: first[key] for key in body} == body
    assert (first["accountName"], first["defaultAsset"], first["metadata"]) == ("", "", None)

    more = {"accountName": "The till", "defaultAsset": "JPY/0", "metadata": {"team": "sales"}}
    second = service.http.post("/accounts", json=body | more).json()["data"]
    assert (second["accountName"], second["defaultAsset"]) == ("The till", "JPY")
    assert second["metadata"] == {"team": "sales"}
    assert service.get(f"/accounts/{first['id']}")["data"] == second

    page = service.get(f"/accounts/{first['id']}/history", pageSize="1")["cursor"]
    assert page["data"][0]["until"] is None
    assert page["data"][0]["raw"] == body | more
    older = service.get(f"/accounts/{first['id']}/history", cursor=page["next"])["cursor"]
    assert [(one["accountName"], one["until"]) for one in older["data"]] == [("", page["data"][0]["since"])]
    assert not older["hasMore"]
    assert service.get(f"/accounts/{first['id']}/history", cursor=older["previous"])["cursor"] == page
    assert len(eventually(lambda: service.events(connector, "SAVED_ACCOUNT")[1:], service.log)) == 1


@pytest.mark.parametrize("kind", ["INTERNAL", "EXTERNAL", "EXTERNAL_FORMANCE", "UNKNOWN"])
def test_every_type_of_account_is_taken(service: Service, connector: str, kind: str) -> None:
    """One that was made from a bank account kept here is shown as external."""
    body = ACCOUNT | {"connectorID": connector, "type": kind}
    answer = service.http.post("/accounts", json=body)

    assert answer.json()["data"]["type"] == kind.removesuffix("_FORMANCE")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        *(({name: None}, name) for name in ACCOUNT),
        ({"type": "OURS"}, "type"),
        ({"accountName": "x" * 10_001}, "accountName"),
        ({"accountName": 1}, "accountName"),
        ({"defaultAsset": "euro"}, "defaultAsset"),
        ({"metadata": {"k": 1}}, "metadata[...]"),
        ({"metadata": {"k": "v" * 1_000_001}}, "metadata"),
        ({"name": "x"}, "name"),
    ],
)
def test_an_account_that_makes_no_sense_is_refused(
    service: Service, connector: str, changes: dict[str, Any], field: str
) -> None:
    """The field is named as it was sent, and nothing is recorded."""
    answer = service.http.post("/accounts", json=ACCOUNT | {"connectorID": connector} | changes)

    assert refused(answer, 400, "VALIDATION").startswith(f"{field}: ")
    assert service.walk("/accounts", query=json.dumps({"$match": {"connectorID": connector}})) == []


def test_metadata_is_merged_and_survives_the_next_poll(
    service: Service, connector: str, directory: Path
) -> None:
    """What was set here stays; the provider's payment is refreshed beside it."""
    (directory / "1.json").write_text(payment_file("polled", status="PENDING"))
    (found,) = eventually(lambda: service.payments(connector), lambda: service.tasks(connector))
    path = f"/payments/{found['id']}"
    for said in ({"a": "1", "b": "2"}, {"b": "3"}, {}):
        answer = service.http.patch(f"{path}/metadata", json=said)
        assert (answer.status_code, answer.content) == (204, b"")
    assert service.get(path)["data"]["metadata"] == {"a": "1", "b": "3"}

    (directory / "1.json").write_text(payment_file("polled", status="SUCCEEDED"))
    eventually(lambda: service.get(path)["data"]["status"] == "SUCCEEDED", lambda: service.tasks(connector))
    assert service.get(path)["data"]["metadata"] == {"a": "1", "b": "3"}
    history = service.get(f"{path}/metadata/history")["data"]
    assert [(one["key"], one["value"], one["by"]) for one in history] == [
        ("b", "3", "person"),
        ("b", "2", "person"),
        ("a", "1", "person"),
    ]
    assert history[0].keys() == {"key", "value", "createdAt", "by"}
    query = json.dumps({"$match": {"metadata[b]": "3"}})
    assert [one["id"] for one in service.walk("/payments", query=query)] == [found["id"]]
    eventually(lambda: service.events(connector)[3:], service.log)
    assert [told["metadata"] for _, told in service.events(connector)] == [
        None,
        {"a": "1", "b": "2"},
        {"a": "1", "b": "3"},
        {"a": "1", "b": "3"},
    ]


@pytest.mark.parametrize("text", NAUGHTY, ids=lambda text: ascii(text)[:20])
def test_naughty_text_comes_back_unchanged(service: Service, connector: str, text: str) -> None:
    """As reference, name, key and value of metadata, in filters, and in ids in paths."""
    account = service.http.post(
        "/accounts",
        json=ACCOUNT
        | {"connectorID": connector, "reference": text, "accountName": text, "metadata": {text: text}},
    ).json()["data"]
    made = post(service, connector, reference=text, sourceAccountID=account["id"])
    path = f"/payments/{made['id']}"
    assert service.http.patch(f"{path}/metadata", json={text: text}).status_code == 204

    assert service.get(f"/accounts/{account['id']}")["data"] == account
    assert (account["reference"], account["accountName"], account["metadata"]) == (text, text, {text: text})
    found = service.get(path)["data"]
    assert (found["reference"], found["sourceAccountID"]) == (text, account["id"])
    assert found["metadata"] == {text: text}
    assert found["raw"]["reference"] == text
    for column in ("reference", f"metadata[{text}]"):
        query = json.dumps({"$match": {column: text}})
        assert [one["id"] for one in service.walk("/payments", query=query)] == [made["id"]]
    refused(service.http.get(f"/payments/{encoded({'x': text})}"), 400, "INVALID_ID")


def test_a_name_may_be_anything(service: Service, directory: Path) -> None:
    """That of an installation, too."""
    for text in NAUGHTY[1:26]:
        connector = service.install(directory=str(directory), name=text)
        listed = {row["connectorID"]: row["name"] for row in service.get("/connectors")["data"]}
        assert listed[connector] == text.strip()
        service.uninstall(connector)


def test_a_transfer_is_not_implemented(service: Service, connector: str) -> None:
    """Said as an error of the interface's own, with what is there instead."""
    answer = service.http.post("/connectors/example/transfers", json={"amount": 1})
    assert "transfer-initiations" in refused(answer, 501, "NOT_IMPLEMENTED")
    assert connector
