"""Whatever fits the documents, or nearly does, is answered as they say: our own, and the reference's.

Requests are made up from the document by schemathesis, most of them with ids that there are.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.service import PAYMUX, Service, eventually, payment_file

from paymux.api import errors

TOOL = Path(sys.executable).with_name("schemathesis")
REFERENCE = Path(__file__).parents[3] / "shared/reference/openapi-v2.0.33-tolerant.yaml"
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,response_headers_conformance"
)
SEED = "20240515"
# Requests an operation; the time is that of a suite that everybody runs.
EXAMPLES = "8"
# How often an id that there is stands where one is asked for.
KNOWN = 0.8
# What it takes away is missing to all that follows, so these have their turn at the end.
DESTRUCTIVE = r"^(DELETE .*|POST .*/reset)$"
# 501 is the answer to what this service does not do.
ANSWERS = '[checks.not_a_server_error]\nexpected-statuses = ["2xx", "3xx", "4xx", "501"]\n'


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own: what is done to it would be in the way of others."""
    service = Service(tmp_path_factory.mktemp("tested"))
    service.start()
    yield service
    assert service.stop() == 0


@pytest.fixture(scope="module")
def transfer(tested: Service) -> Iterator[str]:
    """An order that nobody has approved yet, at a provider that could carry it out."""
    with subprocess.Popen([PAYMUX, "sandbox", "--port", "0"], stdout=subprocess.PIPE, text=True) as provider:
        try:
            assert provider.stdout
            url = provider.stdout.readline().split()[-1]
            connector = tested.install("dummypay", url=url, apiKey="sandbox", name="moving")
            yield _ordered(tested, connector)
        finally:
            provider.terminate()


def _ordered(tested: Service, connector: str) -> str:
    def accounts() -> dict[str, str] | None:
        rows = tested.walk("/accounts", query=json.dumps({"$match": {"connectorID": connector}}))
        found = {row["type"]: row["id"] for row in rows}
        return found if {"INTERNAL", "EXTERNAL"} <= found.keys() else None

    found = eventually(accounts, lambda: tested.tasks(connector, "dummypay"))
    ordered = tested.http.post(
        "/transfer-initiations",
        json={
            "reference": "one", "connectorID": connector, "type": "PAYOUT", "amount": 1, "asset": "EUR/2",
            "sourceAccountID": found["INTERNAL"], "destinationAccountID": found["EXTERNAL"],
        },
    )  # fmt: skip
    assert ordered.status_code == 200, ordered.text
    return str(ordered.json()["data"]["id"])


@pytest.fixture(scope="module")
def known(tested: Service, transfer: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Ids of what there is, by the name of what asks for them."""
    directory = tmp_path_factory.mktemp("payments")
    for number in range(3):
        (directory / f"{number}.json").write_text(payment_file(f"{number}"))
    (directory / "broken.json").write_text("{}")
    connector = tested.install("pier", directory=str(directory), name="stocked")
    eventually(
        lambda: len(tested.payments(connector)) == 3 and tested.set_aside(connector, "pier"),
        lambda: tested.tasks(connector, "pier"),
    )
    account = tested.http.post(
        "/accounts",
        json={
            "reference": "one", "connectorID": connector, "createdAt": "2024-05-01T00:00:00Z",
            "accountName": "One", "type": "INTERNAL", "defaultAsset": "EUR/2",
        },
    ).json()["data"]["id"]  # fmt: skip
    pool = tested.http.post("/pools", json={"name": "one", "accountIDs": [account]}).json()["data"]["id"]
    bank_account = tested.http.post(
        "/bank-accounts", json={"name": "One", "country": "DE", "iban": "DE89370400440532013000"}
    ).json()["data"]["id"]
    return {
        "provider": ["pier", "example", "PIER"],
        "connectorID": [connector],
        "taskID": [tested.tasks(connector, "pier")[0]["id"]],
        "recordID": [tested.set_aside(connector, "pier")[0]["id"]],
        "paymentID": [tested.payments(connector)[0]["id"]],
        "accountID": [account],
        "poolID": [pool],
        "bankAccountID": [bank_account],
        "transferID": [transfer],
    }


def settings(known: dict[str, list[str]]) -> str:
    """The tool's configuration: the ids, under their names here and in the reference."""
    lines = []
    for name, values in known.items():
        lines += [f"[dictionaries.{name}]", f"values = {json.dumps(values)}"]
    lines.append("[parameters]")
    for name in known:
        bound = f'{{ dictionary = "{name}", probability = {KNOWN} }}'
        others = {"provider": "connector"}.get(name, name.removesuffix("ID") + "Id")
        lines += [f'"path.{one}" = {bound}' for one in (name, others)]
        lines.append(f'"body.{name}" = {bound}')
    return "\n".join([*lines, ANSWERS])


def run(service: Service, document: str, known: dict[str, list[str]], home: Path, *more: str) -> None:
    """Let the tool loose, and show what it found."""
    configuration = home / "schemathesis.toml"
    configuration.write_text(settings(known))
    command = [
        str(TOOL), "--no-color", "--config-file", str(configuration), "run", document,
        "--url", str(service.http.base_url), "--seed", SEED, "--checks", CHECKS, "--continue-on-failure",
        "--no-shrink", "--warnings", "off", "--generation-database", "none", *more,
    ]  # fmt: skip
    found = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout[-20_000:] + found.stderr[-4_000:]
    # That it did anything at all.
    assert " passed" in found.stdout


def test_our_own_document_is_kept_to(tested: Service, known: dict[str, list[str]], tmp_path: Path) -> None:
    """No failure of ours, no status and no shape that it does not say."""
    document = f"{tested.http.base_url}/openapi.json"
    made_up = ("--phases", "examples,fuzzing", "--max-examples", EXAMPLES)
    run(tested, document, known, tmp_path, *made_up, "--exclude-name-regex", DESTRUCTIVE)
    run(tested, document, known, tmp_path, *made_up, "--include-name-regex", DESTRUCTIVE)


def test_the_reference_is_kept_to(tested: Service, known: dict[str, list[str]], tmp_path: Path) -> None:
    """With the corrections that design and service of the reference ask for."""
    if not REFERENCE.exists():
        pytest.skip(f"{REFERENCE.name} is not beside this checkout")
    document: Any = yaml.safe_load(REFERENCE.read_text("utf-8"))
    schemas = document["components"]["schemas"]
    # It lists three of the codes that its service answers with, and of ours there are more.
    schemas["PaymentsErrorsEnum"]["enum"] = sorted(
        value for name, value in vars(errors).items() if name == value
    )
    # Connectors are whatever is installed here.
    del schemas["Connector"]["enum"]
    # In it, the names of connectors and of fields are the words "connector" and "key".
    data = schemas["ConnectorsConfigsResponse"]["properties"]["data"]
    field = data["properties"]["connector"]["properties"]["key"]
    fields = {"type": "object", "additionalProperties": field}
    schemas["ConnectorsConfigsResponse"]["properties"]["data"] = {
        "type": "object",
        "additionalProperties": fields,
    }
    # Configs are those of the connectors that it has.
    schemas["ConnectorConfigResponse"]["properties"]["data"] = {"type": "object"}
    # So is what a task is about and what it keeps; and its status is none of a payment.
    for kind in [name for name in schemas if name.startswith("Task") and "allOf" in schemas[name]]:
        schemas[kind] = {"$ref": "#/components/schemas/TaskBase"}
    for free in ("status", "state"):
        del schemas["TaskBase"]["properties"][free]
    (tmp_path / "reference.json").write_text(json.dumps(document))
    more = ("--phases", "examples,fuzzing", "--max-examples", EXAMPLES)
    run(tested, str(tmp_path / "reference.json"), known, tmp_path, *more)
