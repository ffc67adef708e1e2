"""Orders over HTTP and at a shell, against the sandbox: decided on, settled, and refused with the reason."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.operator_commands import Shell, cells, shell_for
from tests.e2e.service import Service, eventually, refused

from paymux.domain.ids import ConnectorID, account_id
from paymux.sandbox.server import API_KEY, Sandbox

OWN, OWN_USD, BENEFICIARY = "acc_000001", "acc_000002", "ben_000006"


class Bank:
    """An installation that moves money."""

    def __init__(self, service: Service, sandbox: Sandbox) -> None:
        self.service = service
        self.sandbox = sandbox
        self.connector = service.install("dummypay", url=sandbox.url, apiKey=API_KEY, name="bank")
        eventually(lambda: len(self._accounts()) >= 6, self._accounts)

    def account(self, reference: str) -> str:
        return account_id(ConnectorID.parse(self.connector), reference)

    def order(self, named: str, **more: Any) -> dict[str, Any]:
        known = {
            "reference": named, "type": "PAYOUT", "amount": 500, "asset": "EUR/2", "validated": False,
            "connectorID": self.connector, "sourceAccountID": self.account(OWN),
            "destinationAccountID": self.account(BENEFICIARY),
        }  # fmt: skip
        return {name: value for name, value in (known | more).items() if value is not None}

    def post(self, path: str, body: Any = None) -> Any:
        return self.service.http.post(f"/transfer-initiations{path}", json=body)

    def made(self, named: str, **more: Any) -> dict[str, Any]:
        answer = self.post("", self.order(named, **more))
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    def reached(self, id_: str, *states: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.service.get(f"/transfer-initiations/{id_}")["data"]
            return found if found["state"] in states else None

        return eventually(look, lambda: self.service.get(f"/transfer-initiations/{id_}"))

    def _accounts(self) -> list[dict[str, Any]]:
        wanted = {"$match": {"connectorID": self.connector}}
        return self.service.walk("/accounts", query=json.dumps(wanted))


@pytest.fixture
def bank(service: Service) -> Iterator[Bank]:
    with Sandbox(payments=5) as sandbox:
        yield Bank(service, sandbox)


@pytest.fixture
def shell(service: Service) -> Shell:
    return shell_for(service)


def test_orders_are_decided_on_at_a_shell(bank: Bank, shell: Shell) -> None:
    """By their reference or id; what makes no sense is said in a sentence."""
    first, second = bank.made("rent"), bank.made("gift")

    assert shell.run("transfers", "approve", "rent").returncode == 0
    bank.reached(first["id"], "PROCESSED")
    assert "REJECTED" in shell.run("transfers", "reject", second["id"]).stderr
    assert "REJECTED" in shell.refused("transfers", "approve", "gift")
    assert "no transfer initiation nothing" in shell.refused("transfers", "show", "nothing")
    listed = cells(shell.ok("transfers", "list", "--connector", "bank"), "REFERENCE", "AMOUNT", "STATUS")
    assert listed == [("gift", "500", "REJECTED"), ("rent", "500", "PROCESSED")]
    assert [row["reference"] for row in shell.json("transfers", "list", "--status", "rejected")] == ["gift"]
    assert len(shell.json("transfers", "show", "rent")["relatedAdjustments"]) == 4
    assert "PROCESSING" in shell.ok("transfers", "show", "rent")
    assert bank.sandbox.books()["orders"]["rent"]["paid"] == 1


def test_a_person_settles_what_nobody_knows(bank: Bank, shell: Shell, service: Service) -> None:
    """With everything shown that is known, the key above all; until then the installation stays."""
    bank.sandbox.misbehave("drop-after", "drop-before", on="POST")
    lost = bank.made("lost", validated=True)
    bank.reached(lost["id"], "UNKNOWN")
    unsent = bank.made("unsent", validated=True)
    bank.reached(unsent["id"], "UNKNOWN")
    for column, words in (("status", "PROCESSING"), ("state", "UNKNOWN")):
        wanted = {"$match": {"connectorID": bank.connector, column: words}}
        asked = {"query": json.dumps(wanted), "sort": f"{column}:desc", "pageSize": "1"}
        assert len(service.get("/transfer-initiations", **asked)["cursor"]["data"]) == 1
        assert len(service.walk("/transfer-initiations", query=json.dumps(wanted), sort=f"{column}:asc")) == 2
    (row,) = [
        one for one in shell.json("transfers", "unknown") if one["transferInitiation"]["id"] == lost["id"]
    ]
    books = bank.sandbox.books()["orders"]["lost"]

    assert (row["idempotencyKey"], row["sends"], row["needsPerson"]) == (books["keys"][0], 1, False)
    assert "no answer came" in row["reason"]
    shown = service.get(f"/transfer-initiations/{lost['id']}")["data"]
    assert (shown["status"], shown["error"]) == ("PROCESSING", "outcome unknown, being looked up")
    held = service.http.delete(f"/connectors/dummypay/{bank.connector}")
    assert "lost" in refused(held, 409, "CONFLICT")
    shell.refused("transfers", "settle", "lost", "--note", "seen", code=2)
    paid = ("--accepted", "--payment", books["payments"][0], "--note", "seen in the books")
    assert "lost is PROCESSED" in shell.run("transfers", "settle", "lost", *paid).stderr
    assert (
        "unsent is FAILED"
        in shell.run("transfers", "settle", "unsent", "--not-sent", "--note", "asked").stderr
    )
    assert shell.json("transfers", "show", "lost")["relatedAdjustments"][0]["note"] == "seen in the books"
    assert shell.json("transfers", "unknown") == []
    shell.run("transfers", "retry", "unsent")
    bank.reached(unsent["id"], "PROCESSED")
    orders = bank.sandbox.books()["orders"]
    assert (orders["lost"]["paid"], orders["unsent"]["paid"]) == (1, 1)


def test_what_is_wrong_with_an_order_is_said_before_anything_is_stored(bank: Bank) -> None:
    """Each field by its name; nothing is there afterwards, and nothing was asked of the provider."""
    id_, own, usd = bank.account("x"), bank.account(OWN), bank.account(OWN_USD)
    for field, more in (
        ("reference", {"reference": " "}),
        ("reference", {"reference": "x" * 501}),
        ("reference", {"reference": None}),
        ("amount", {"amount": 0}),
        ("amount", {"amount": -5}),
        ("amount", {"amount": 10**78}),
        ("amount", {"amount": 1.5}),
        ("amount", {"amount": "5"}),
        ("asset", {"asset": "EUR"}),
        ("asset", {"asset": "EUR/3"}),
        ("asset", {"asset": "ETH/18"}),
        ("asset", {"asset": "euro"}),
        ("type", {"type": "GIFT"}),
        ("scheduledAt", {"scheduledAt": "tomorrow"}),
        ("metadata", {"metadata": {"a": 1}}),
        ("metadata", {"metadata": {"a": "x" * 70_000}}),
        ("destinationAccountID", {"destinationAccountID": usd}),
        ("destinationAccountID", {"type": "TRANSFER"}),
        ("destinationAccountID", {"type": "TRANSFER", "destinationAccountID": own}),
        ("sourceAccountID", {"sourceAccountID": bank.account(BENEFICIARY), "destinationAccountID": None}),
        ("connectorID", {"connectorID": None}),
        ("provider", {"connectorID": None, "provider": "nobody"}),
        ("validates", {"validates": True}),
    ):
        said = refused(bank.post("", bank.order("wrong", **more)), 400, "VALIDATION")
        assert field in said or more.get("destinationAccountID", 0) is None, (field, said)
    refused(bank.post("", bank.order("wrong", destinationAccountID=id_)), 404, "NOT_FOUND")
    refused(bank.post("", bank.order("wrong", destinationAccountID="x")), 400, "INVALID_ID")
    assert bank.service.sql("SELECT reference FROM transfer WHERE reference LIKE 'wrong%'") == []


def test_the_same_order_again_is_the_first_one(bank: Bank) -> None:
    """Whatever has become of it; another one under its reference is told in which fields it differs."""
    first = bank.made("rent", validated=True)
    bank.reached(first["id"], "PROCESSED")
    again = bank.made("rent", validated=True)
    assert (again["id"], again["state"]) == (first["id"], "PROCESSED")
    other = bank.post("", bank.order("rent", validated=True, amount=501, description="more"))
    said = refused(other, 409, "CONFLICT")

    assert "amount" in said
    assert "description" in said
    assert bank.sandbox.books()["orders"]["rent"]["paid"] == 1


def test_what_an_order_does_not_allow_is_a_conflict(bank: Bank) -> None:
    """And one that is not there is not found."""
    paid = bank.made("paid", validated=True)["id"]
    waiting = bank.made("waiting")["id"]
    nobody = bank.account("nobody")
    back = {"reference": "back", "amount": 100, "asset": "EUR/2"}
    bank.reached(paid, "PROCESSED")
    for path, body in (
        (f"/{paid}/status", {"status": "VALIDATED"}),
        (f"/{paid}/retry", None),
        (f"/{waiting}/retry", None),
        (f"/{waiting}/reverse", back),
        (f"/{paid}/settle", {"outcome": "NOT_SENT", "note": "sure"}),
    ):
        refused(bank.post(path, body), 409, "CONFLICT")
    for path, body in (
        (f"/{waiting}/status", {"status": "PROCESSED"}),
        (f"/{paid}/reverse", back | {"amount": 501}),
        (f"/{paid}/reverse", back | {"amount": -1}),
        (f"/{paid}/reverse", back | {"asset": "USD/2"}),
        (f"/{paid}/settle", {"outcome": "NOT_SENT", "note": " "}),
        (f"/{paid}/settle", {"outcome": "NOT_SENT", "note": "sure", "paymentReference": "pay_000001"}),
    ):
        refused(bank.post(path, body), 400, "VALIDATION")
    refused(bank.post(f"/{nobody}/retry"), 404, "NOT_FOUND")
    refused(bank.post("/garbage/retry"), 400, "INVALID_ID")
    refused(bank.service.http.delete(f"/transfer-initiations/{paid}"), 409, "CONFLICT")
    assert bank.service.http.delete(f"/transfer-initiations/{waiting}").status_code == 204
    refused(bank.service.http.get(f"/transfer-initiations/{waiting}"), 404, "NOT_FOUND")
