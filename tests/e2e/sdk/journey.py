"""A journey with the official client, in an environment of its own: every answer is what was written.

``python journey.py URL DIRECTORY``, where the directory holds the ``book.json`` that the connector reads.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")  # the client's own, about what it finds in unions

import sdk  # type: ignore[import-not-found]  # noqa: E402
from sdk.models import errors, operations, shared  # type: ignore[import-not-found]  # noqa: E402

URL, DIRECTORY = sys.argv[1], Path(sys.argv[2])
BOOK = json.loads((DIRECTORY / "book.json").read_text("utf-8"))
US = shared.Connector.DUMMY_PAY
PATIENCE = 60.0

client = sdk.SDK(server_url=URL).payments


def eventually(look: Callable[[], Any]) -> Any:
    """Wait for something to become true, and return it."""
    give_up = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < give_up, look
        time.sleep(0.2)
    return found


def asset(of: dict[str, Any]) -> str:
    """As it is shown."""
    return f"{of['code']}/{of['exponent']}" if of.get("exponent") else str(of["code"])


def refused(call: Callable[[], Any]) -> str:
    """The code of a typed error."""
    try:
        call()
    except errors.PaymentsErrorResponse as error:
        return str(error.error_code.value)
    return ""


def walk(ask: Callable[[str | None], Any]) -> list[Any]:
    """All rows of a list, page by page."""
    page = ask(None)
    rows = list(page.data)
    while page.has_more:
        page = ask(page.next)
        rows += page.data
    return rows


def install(name: str) -> str:
    """Install the connector."""
    config = shared.DummyPayConfig(directory=str(DIRECTORY), name=name, file_polling_period="1s")
    answer = client.install_connector(operations.InstallConnectorRequest(config, US))
    return str(answer.connector_response.data.connector_id)


def payments() -> list[Any]:
    """All payments there are."""
    return walk(
        lambda cursor: (
            client.list_payments(
                operations.ListPaymentsRequest(cursor=cursor, page_size=2)
            ).payments_cursor.cursor
        )
    )


def accounts() -> list[Any]:
    """All accounts there are."""
    return walk(
        lambda cursor: (
            client.paymentslist_accounts(
                operations.PaymentslistAccountsRequest(cursor=cursor, page_size=2)
            ).accounts_cursor.cursor
        )
    )


def the_service_and_its_connectors(connector: str) -> None:
    """Its version, what there is to install, and what is installed."""
    assert client.paymentsget_server_info().server_info.version
    assert client.list_configs_available_connectors().connectors_configs_response.data
    (row,) = client.list_all_connectors().connectors_response.data
    assert (row.connector_id, row.name, row.provider, row.enabled) == (connector, "first", US, True)
    first = client.read_connector_config(operations.ReadConnectorConfigRequest(US))
    second = client.read_connector_config_v1(operations.ReadConnectorConfigV1Request(US, connector))
    config = first.connector_config_response.data
    assert config == second.connector_config_response.data
    assert config.directory == str(DIRECTORY)
    assert (config.name, config.file_polling_period) == ("first", "1s")


def what_the_connector_brought_in() -> None:
    """Payments, with their reports."""
    written = {one["reference"]: one for one in BOOK["payments"]}
    found = eventually(lambda: len(payments()) == len(written) and payments())
    known = {row.reference: row.id for row in accounts()}
    for row in found:
        one = written[row.reference]
        assert (row.type.value, row.status.value, row.scheme.value) == (
            one["type"],
            one["status"],
            one["scheme"],
        )
        assert (row.amount, row.asset) == (one["amount"]["minor"], asset(one["amount"]["asset"]))
        assert row.initial_amount == row.amount
        assert row.created_at == datetime.fromisoformat(one["created_at"])
        assert row.source_account_id == known.get(one["source"], "")
        assert row.metadata == (one["metadata"] or None)
        assert row.provider == US
        assert client.get_payment(operations.GetPaymentRequest(row.id)).payment_response.data == row
        (report,) = row.adjustments
        assert (report.amount, report.status) == (row.amount, row.status)


def accounts_and_what_they_hold() -> None:
    """Every interval, by asset and by time."""
    written = {one["reference"]: one for one in BOOK["accounts"]}
    found = {row.reference: row for row in accounts()}
    assert written.keys() <= found.keys()
    for reference, one in written.items():
        row = found[reference]
        assert (row.account_name, row.type.value, row.default_asset, row.metadata) == (
            one["name"], one["type"], one["default_asset"], one["metadata"] or None,
        )  # fmt: skip
        got = client.paymentsget_account(operations.PaymentsgetAccountRequest(row.id))
        assert got.payments_account_response.data == row
    held = [(one["amount"]["minor"], asset(one["amount"]["asset"])) for one in BOOK["balances"]]
    account = found[BOOK["balances"][0]["account"]].id

    def balances(**asked: Any) -> list[tuple[int, str]]:
        return [
            (row.balance, row.asset)
            for row in walk(
                lambda cursor: (
                    client.get_account_balances(
                        operations.GetAccountBalancesRequest(account, cursor=cursor, **asked)
                    ).balances_cursor.cursor
                )
            )
        ]

    assert sorted(balances(page_size=1)) == sorted(held)
    assert balances(asset=held[0][1], limit=1) == [row for row in reversed(held) if row[1] == held[0][1]]
    first = datetime.fromisoformat(BOOK["balances"][0]["at"])
    assert balances(to=first) == held[:1]
    assert balances(from_=datetime.now(UTC)) == balances(from_=first + timedelta(days=3650))


def what_people_bring_in(connector: str) -> None:
    """A payment and an account by hand, and metadata."""
    at = datetime(2024, 5, 1, 12, 30, 15, 250000, tzinfo=UTC)
    account = client.create_account(
        shared.AccountRequest(
            connector_id=connector, created_at=at, reference="till", type=shared.AccountType.INTERNAL,
            account_name="The till", default_asset="JPY", metadata={"team": "sales"},
        )
    ).payments_account_response.data  # fmt: skip
    assert (account.account_name, account.created_at, account.default_asset) == ("The till", at, "JPY")
    assert (account.metadata, account.type) == ({"team": "sales"}, shared.AccountType.INTERNAL)
    request = shared.PaymentRequest(
        amount=10**30, asset="ETH/18", connector_id=connector, created_at=at, reference="by hand",
        scheme=shared.PaymentScheme.MOLPAY, status=shared.PaymentStatus.PENDING,
        type=shared.PaymentType.PAY_IN, destination_account_id=account.id,
    )  # fmt: skip
    made = client.create_payment(request).payment_response.data
    assert (made.amount, made.asset, made.created_at) == (10**30, "ETH/18", at)
    assert (made.scheme, made.destination_account_id) == (shared.PaymentScheme.MOLPAY, account.id)
    request.status = shared.PaymentStatus.SUCCEEDED
    again = client.create_payment(request).payment_response.data
    assert (again.id, again.status, len(again.adjustments)) == (made.id, request.status, 2)

    answer = client.update_metadata(operations.UpdateMetadataRequest({"naïve 💶": "ключ"}, made.id))
    assert answer.status_code == 204
    shown = client.get_payment(operations.GetPaymentRequest(made.id)).payment_response.data
    assert shown.metadata == {"naïve 💶": "ключ"}


def tasks(connector: str) -> None:
    """Of an installation, with and without its id."""
    one = client.list_connector_tasks(operations.ListConnectorTasksRequest(US)).tasks_cursor.cursor.data
    other = client.list_connector_tasks_v1(operations.ListConnectorTasksV1Request(US, connector))
    assert [row["id"] for row in one] == [row["id"] for row in other.tasks_cursor.cursor.data]
    # The client takes a task's status for a payment's, knows no ACTIVE, and hands out what it got.
    (task,) = one
    assert task["connectorID"] == connector
    first = client.get_connector_task(operations.GetConnectorTaskRequest(US, task["id"]))
    second = client.get_connector_task_v1(operations.GetConnectorTaskV1Request(US, connector, task["id"]))
    assert first.task_response.data["id"] == second.task_response.data["id"] == task["id"]


def pools() -> None:
    """Accounts together, and what they hold."""
    main = next(row.id for row in accounts() if row.reference == "main")
    other = next(row.id for row in accounts() if row.reference == "other")
    made = client.create_pool(shared.PoolRequest(account_i_ds=[main], name="both")).pool_response.data
    assert (made.name, made.accounts) == ("both", [main])
    added = operations.AddAccountToPoolRequest(shared.AddAccountToPoolRequest(other), made.id)
    assert client.add_account_to_pool(added).status_code == 204
    found = client.get_pool(operations.GetPoolRequest(made.id)).pool_response.data
    assert sorted(found.accounts) == sorted([main, other])
    (row,) = client.list_pools(operations.ListPoolsRequest()).pools_cursor.cursor.data
    assert row == found
    asked = operations.GetPoolBalancesRequest(datetime.now(UTC), made.id)
    held = client.get_pool_balances(asked).pool_balances_response.data.balances
    latest = {asset(one["amount"]["asset"]): one["amount"]["minor"] for one in BOOK["balances"]}
    assert {one.asset: one.amount for one in held} == latest
    gone = client.remove_account_from_pool(operations.RemoveAccountFromPoolRequest(other, made.id))
    assert gone.status_code == 204
    assert client.delete_pool(operations.DeletePoolRequest(made.id)).status_code == 204
    assert client.list_pools(operations.ListPoolsRequest()).pools_cursor.cursor.data == []


def bank_accounts() -> None:
    """Kept here, with what is secret about them only hinted at."""
    request = shared.BankAccountRequest(
        connector_id="", country="DE", name="Ada", iban="DE89370400440532013000",
        swift_bic_code="COBADEFFXXX", metadata={"team": "sales"},
    )  # fmt: skip
    made = client.create_bank_account(request).bank_account_response.data
    assert (made.name, made.country, made.metadata) == ("Ada", "DE", {"team": "sales"})
    change = shared.UpdateBankAccountMetadataRequest({"floor": "2"})
    asked = operations.UpdateBankAccountMetadataRequest(change, made.id)
    assert client.update_bank_account_metadata(asked).status_code == 204
    found = client.get_bank_account(operations.GetBankAccountRequest(made.id)).bank_account_response.data
    assert (found.id, found.created_at) == (made.id, made.created_at)
    assert found.metadata == {"team": "sales", "floor": "2"}
    assert found.iban not in (None, request.iban)
    (row,) = client.list_bank_accounts(operations.ListBankAccountsRequest()).bank_accounts_cursor.cursor.data
    assert (row.id, row.name) == (made.id, "Ada")


def changing_and_leaving(connector: str) -> None:
    """A new config, a reset and an uninstall, with and without the id; what has come in comes again."""
    config = shared.DummyPayConfig(directory=str(DIRECTORY), name="renamed", file_polling_period="2s")
    changed = client.update_connector_config_v1(
        operations.UpdateConnectorConfigV1Request(config, US, connector)
    )
    assert changed.status_code == 204
    again = client.read_connector_config_v1(operations.ReadConnectorConfigV1Request(US, connector))
    assert again.connector_config_response.data.name == "renamed"
    resets: list[Callable[[], Any]] = [
        lambda: client.reset_connector(operations.ResetConnectorRequest(US)),
        lambda: client.reset_connector_v1(operations.ResetConnectorV1Request(US, connector)),
    ]
    for reset in resets:
        assert reset().status_code == 204
        eventually(lambda: len(payments()) == len(BOOK["payments"]))
    assert (
        client.uninstall_connector_v1(operations.UninstallConnectorV1Request(US, connector)).status_code
        == 204
    )
    assert client.list_all_connectors().connectors_response.data == []
    assert payments() == []
    install("second")
    assert client.uninstall_connector(operations.UninstallConnectorRequest(US)).status_code == 204
    gone = operations.ReadConnectorConfigRequest(shared.Connector.STRIPE)
    assert refused(lambda: client.read_connector_config(gone)) == "NOT_FOUND"


def main() -> None:
    """All of it, in order."""
    connector = install("first")
    the_service_and_its_connectors(connector)
    what_the_connector_brought_in()
    accounts_and_what_they_hold()
    what_people_bring_in(connector)
    tasks(connector)
    pools()
    bank_accounts()
    changing_and_leaving(connector)


main()
