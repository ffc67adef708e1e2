"""Bank accounts over HTTP: kept, described, forwarded, and of their numbers nothing in clear anywhere."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.e2e.conftest import running
from tests.e2e.service import PATIENCE, PREFIXES, Service, eventually, refused

from paymux.sandbox.menu import Misbehaviour
from paymux.sandbox.server import API_KEY, Sandbox

IBAN = "DE89370400440532013000"
SPACED = "DE89 3704 0044 0532 0130 00"
NUMBER = "19-2000145399/0800"
PAGE = Path(__file__).parents[2] / "docs/how-to/keep-bank-accounts.md"
COMMANDS = re.findall(r"^ *```sh\n(.*?)^ *```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
NOBODY = "00000000-0000-0000-0000-000000000000"
WHOLE = {
    "name": "Jos\u00e9 \u202e\U0001f4b6", "country": "de", "iban": SPACED, "accountNumber": NUMBER,
    "swiftBicCode": "deutdeff", "metadata": {"\u00e9": "", "a": "1"}, "connectorID": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=7, payments=0, lateness=3600) as provider:
        yield provider


@pytest.fixture
def connector(service: Service, sandbox: Sandbox) -> str:
    """An installation that bank accounts can be forwarded to."""
    sandbox.reset()
    return install(service, sandbox)


def install(service: Service, sandbox: Sandbox, **config: str) -> str:
    config = {"url": sandbox.url, "apiKey": API_KEY, "requestTimeout": "500ms", **config}
    return service.install("dummypay", pollingPeriod="1m", **config)


def keep(service: Service, **changes: Any) -> dict[str, Any]:
    answer = service.http.post("/bank-accounts", json=WHOLE | changes)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()["data"]
    return made


def told(service: Service, bank_account: str) -> list[dict[str, Any]]:
    lines = service.lines(containing=bank_account)
    return [json.loads(line["payload"]) for line in lines if line.get("type") == "SAVED_BANK_ACCOUNT"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_bank_account_as_clients_see_it(service: Service, connector: str, prefix: str) -> None:
    """Made, read, listed, described and forwarded; what is shown of its numbers are their ends."""
    made = service.http.post(f"{prefix}/bank-accounts", json=WHOLE).json()["data"]
    path = f"{prefix}/bank-accounts/{made['id']}"
    assert made == {
        "id": str(UUID(made["id"])), "name": WHOLE["name"], "createdAt": made["createdAt"], "country": "DE",
        "iban": "DE89**************3000", "accountNumber": "19*************800", "swiftBicCode": "DEUTDEFF",
        "metadata": WHOLE["metadata"], "relatedAccounts": [], "connectorID": "",
    }  # fmt: skip
    assert service.get(path) == {"data": made}
    assert service.get(f"{prefix}/bank-accounts")["cursor"]["data"][0] == made

    assert service.http.patch(f"{path}/metadata", json={"metadata": {"a": "2", "b": "3"}}).status_code == 204
    described = service.get(path)["data"]
    assert described == made | {"metadata": {"\u00e9": "", "a": "2", "b": "3"}}

    for _ in range(2):
        answer = service.http.post(f"{path}/forward", json={"connectorID": connector})
        assert answer.status_code == 200, answer.text
        forwarded = answer.json()["data"]
    (related,) = forwarded["relatedAccounts"]
    assert forwarded == described | {
        "relatedAccounts": [related], "connectorID": connector, "provider": "DUMMYPAY",
        "accountID": related["accountID"],
    }  # fmt: skip
    assert related.keys() == {"id", "createdAt", "provider", "connectorID", "accountID"}
    assert service.get(path)["data"] == forwarded
    account = service.get(f"{prefix}/accounts/{related['accountID']}")["data"]
    assert (account["accountName"], account["type"]) == (WHOLE["name"], "EXTERNAL")

    eventually(lambda: len(told(service, made["id"])) == 3, lambda: told(service, made["id"]))
    last = told(service, made["id"])[-1]
    assert last["adjustments"] == [related]
    assert (last["iban"], last["accountNumber"]) == (made["iban"], made["accountNumber"])


def test_it_is_forwarded_as_it_is_made(service: Service, sandbox: Sandbox, connector: str) -> None:
    """In one call; when that fails it is kept, and the error says under which id."""
    made = keep(service, connectorID=connector)
    assert [one["connectorID"] for one in made["relatedAccounts"]] == [connector]

    sandbox.misbehave(Misbehaviour.DROP_AFTER, on="POST")
    answer = service.http.post("/bank-accounts", json=WHOLE | {"connectorID": connector, "name": "Lost"})
    assert "Forward it again" in refused(answer, 502, "INTERNAL")
    kept = answer.json()["details"]["bankAccountID"]
    assert service.get(f"/bank-accounts/{kept}")["data"]["relatedAccounts"] == []
    again = service.http.post(f"/bank-accounts/{kept}/forward", json={"connectorID": connector})
    assert len(again.json()["data"]["relatedAccounts"]) == 1
    assert [one["name"] for one in sandbox.books()["accounts"].values()].count("Lost") == 1


def test_where_it_cannot_go_nothing_is_kept(service: Service, stocked: str) -> None:
    """A connector that cannot, one that is not there, and what is no connector at all."""
    count = len(service.walk("/bank-accounts"))
    for connector, status, code in (
        (stocked, 400, "VALIDATION"),
        ("x", 400, "INVALID_ID"),
        (stocked[:-3] + "AAA", 400, "INVALID_ID"),
    ):
        body = WHOLE | {"connectorID": connector}
        refused(service.http.post("/bank-accounts", json=body), status, code)
    assert len(service.walk("/bank-accounts")) == count
    made = keep(service)
    for connector, status, code in ((stocked, 400, "VALIDATION"), ("", 400, "INVALID_ID")):
        path = f"/bank-accounts/{made['id']}/forward"
        refused(service.http.post(path, json={"connectorID": connector}), status, code)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 501}, "name"),
        ({"country": ""}, "country"),
        ({"country": "XX"}, "country"),
        ({"country": 49}, "country"),
        ({"iban": "DE89370400440532013001"}, "check digits"),
        ({"iban": None, "accountNumber": None}, "iban"),
        ({"iban": "", "accountNumber": ""}, "iban"),
        ({"accountNumber": "123"}, "accountNumber"),
        ({"accountNumber": "1" * 35}, "accountNumber"),
        ({"accountNumber": "12\n34"}, "accountNumber"),
        ({"swiftBicCode": "ABCDXXFF"}, "swiftBicCode"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": "x" * 100_001}}, "metadata"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_makes_no_bank_account_is_told_why(service: Service, changes: Any, says: str) -> None:
    """By the field, and without a number that was sent."""
    answer = service.http.post("/bank-accounts", json=WHOLE | changes)
    message = refused(answer, 400, "VALIDATION")
    assert says in message
    assert not any(str(sent) in message for field, sent in changes.items() if field != "colour" and sent)


def test_one_that_is_not_there_is_nowhere(service: Service, connector: str) -> None:
    """On every route; and an id that is none is told so."""
    for path, status, code in ((NOBODY, 404, "NOT_FOUND"), ("x", 400, "INVALID_ID")):
        at = f"/bank-accounts/{path}"
        refused(service.http.get(at), status, code)
        refused(service.http.patch(f"{at}/metadata", json={"metadata": {"a": "1"}}), status, code)
        refused(service.http.post(f"{at}/forward", json={"connectorID": connector}), status, code)


@pytest.mark.parametrize("body", [{}, {"metadata": {}}, {"metadata": None}, {"metadata": {"a": 1}}, [], None])
def test_metadata_that_is_none_is_refused(service: Service, body: Any) -> None:
    """And nothing is changed."""
    made = keep(service)
    path = f"/bank-accounts/{made['id']}"
    assert service.http.patch(f"{path}/metadata", json=body).status_code == 400
    assert service.get(path)["data"] == made


def test_a_list_of_bank_accounts_is_a_list(service: Service) -> None:
    """Pages, filters, orders, lines."""
    made = [keep(service, name=f"list {number}", metadata={"list": str(number)}) for number in range(3)]
    query = json.dumps({"$like": {"name": "list %"}})
    page = service.get("/bank-accounts", query=query, pageSize="2")["cursor"]
    rest = service.get("/bank-accounts", cursor=page["next"])["cursor"]
    assert page["data"] + rest["data"] == made[::-1]
    for wire in ({"$match": {"metadata[list]": "1"}}, {"$match": {"id": made[1]["id"]}}):
        assert service.get("/bank-accounts", query=json.dumps(wire))["cursor"]["data"] == [made[1]]
    found = service.get("/bank-accounts", query=query, sort="name")["cursor"]["data"]
    assert found == made
    header = {"Accept": "application/x-ndjson"}
    lines = service.http.get("/bank-accounts", params={"query": query}, headers=header).text.splitlines()
    assert list(map(json.loads, lines)) == made[::-1]


def test_a_killed_service_asks_again_under_the_same_key(tmp_path: Path) -> None:
    """Between the provider's answer and our note of it: there is one account, and that is related."""
    for service in running(Service(tmp_path)):
        with Sandbox(seed=7, payments=0) as sandbox:
            connector = install(service, sandbox, requestTimeout="1m")
            made = keep(service, name="Killed")
            path = f"/bank-accounts/{made['id']}/forward"
            sandbox.misbehave(Misbehaviour.HANG_AFTER, on="POST")
            asking = threading.Thread(target=_lost, args=(service, path, connector))
            asking.start()
            eventually(lambda: names(sandbox).count("Killed") == 1, lambda: names(sandbox))
            service.kill()
            asking.join()
            service.start()
            answer = service.http.post(path, json={"connectorID": connector})
            assert answer.status_code == 200, answer.text

            assert len(answer.json()["data"]["relatedAccounts"]) == 1
            assert names(sandbox).count("Killed") == 1
            assert IBAN not in service.log()


def names(sandbox: Sandbox) -> list[str]:
    return [one["name"] for one in sandbox.books()["accounts"].values()]


def _lost(service: Service, path: str, connector: str) -> None:
    """Ask, and have the service die meanwhile."""
    with pytest.raises(httpx.TransportError):
        httpx.post(service.http.base_url.join(path), json={"connectorID": connector}, timeout=PATIENCE)


def test_the_how_to_works(service: Service, connector: str) -> None:
    """Each command of the page, in its order."""
    known = {"CONNECTOR": connector}
    answers = []
    for command in COMMANDS:
        script = command.replace("localhost:8080", str(service.http.base_url)).replace("curl ", "curl -sSf ")
        ended = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, check=False, timeout=PATIENCE,
            env=os.environ | known,
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (0, ""), command
        answers.append(ended.stdout)
        known.setdefault("ID", json.loads(answers[0])["data"]["id"])

    assert len(json.loads(answers[1])["data"]["relatedAccounts"]) == 1
    assert service.get(f"/bank-accounts/{known['ID']}")["data"]["metadata"] == {"supplier": "18"}


def test_the_log_holds_no_number(service: Service) -> None:
    """After all of the above."""
    keep(service)
    log = service.log()
    assert not any(number in log for number in (IBAN, IBAN[4:-4], SPACED, NUMBER, "2000145399"))


texts = st.text(max_size=20) | st.sampled_from(["\0", "\ud800", IBAN, "DE", NOBODY, "1234"])
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*WHOLE, "metadata"]) | texts, inner, max_size=3)
    ),
)
bodies = values | st.fixed_dictionaries(
    {}, optional={name: texts | values for name in WHOLE if name != "metadata"}
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=bodies, call=st.sampled_from(["POST ", f"POST /{NOBODY}/forward", f"PATCH /{NOBODY}/metadata"]))
def test_nonsense_is_refused(service: Service, body: Any, call: str) -> None:
    """With a status that says whose fault it is; what happens to make sense is taken."""
    method, _, path = call.partition(" ")
    answer = service.http.request(method, f"/bank-accounts{path}", content=json.dumps(body).encode())
    assert answer.status_code < 500
    if answer.status_code != 200:
        assert answer.json().keys() - {"details"} == {"errorCode", "errorMessage"}
