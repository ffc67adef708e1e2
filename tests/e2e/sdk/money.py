"""Moving money with the official client: every answer can be read, and the provider's books agree.

``python money.py URL SANDBOX CONNECTOR``: the service, its provider, and the installation between them.
"""

import base64
import itertools
import json
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

warnings.simplefilter("ignore")  # the client's own, about what it finds in unions

import requests  # noqa: E402
import sdk  # type: ignore[import-not-found]  # noqa: E402
from sdk.models import errors, operations, shared  # type: ignore[import-not-found]  # noqa: E402

URL, SANDBOX, CONNECTOR = sys.argv[1:]
PATIENCE = 60.0
# What the client has to send where there is no time.
NO_TIME = datetime(1, 1, 1, tzinfo=UTC)

# What was answered last: the client knows no CONFLICT, and hides what it cannot read.
answers: list[requests.Response] = []
session = requests.Session()
session.hooks["response"].append(lambda answer, *_, **__: answers.append(answer))
client = sdk.SDK(server_url=URL, client=session).payments
accounts: dict[str, str] = {}
numbers = itertools.count(1)


def eventually(look: Callable[[], Any]) -> Any:
    """Wait for something to become true, and return it."""
    give_up = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < give_up, answers[-1].text
        time.sleep(0.1)
    return found


def refused(call: Callable[[], Any]) -> tuple[int, str]:
    """How a call is refused, and with which code."""
    said = ""
    try:
        call()
    except errors.PaymentsErrorResponse as error:
        said = error.error_message
    except ValueError as error:  # as much as the client makes of a CONFLICT
        said = str(error)
    answer, body = answers[-1], answers[-1].json()
    assert said in {body["errorMessage"], "'CONFLICT' is not a valid PaymentsErrorsEnum"}, answer.text
    return answer.status_code, str(body["errorCode"])


def order(reference: str, **more: Any) -> Any:
    """Order a payout that is approved already, unless told otherwise."""
    asked = {
        "reference": reference, "amount": 500, "asset": "EUR/2", "description": f"Invoice {reference}",
        "source_account_id": accounts["acc_000001"], "destination_account_id": accounts["ben_000006"],
        "type": shared.TransferInitiationRequestType.PAYOUT, "validated": True, "scheduled_at": NO_TIME,
        "connector_id": CONNECTOR, "metadata": {"team": "ops"}, **more,
    }  # fmt: skip
    answer = client.create_transfer_initiation(shared.TransferInitiationRequest(**asked))
    made = answer.transfer_initiation_response.data
    assert (made.reference, made.amount, made.initial_amount) == (reference, asked["amount"], asked["amount"])
    assert (made.asset, made.description, made.metadata) == ("EUR/2", asked["description"], {"team": "ops"})
    assert made.destination_account_id == asked["destination_account_id"]
    return made


def get(made: Any) -> Any:
    """One as it is now."""
    answer = client.get_transfer_initiation(operations.GetTransferInitiationRequest(made.id))
    return answer.transfer_initiation_response.data


def reached(made: Any, status: str) -> Any:
    """Wait until one has this status."""
    return eventually(lambda: found if (found := get(made)).status.value == status else None)


def decide(made: Any, status: str) -> Any:
    """Approve or reject."""
    body = shared.UpdateTransferInitiationStatusRequest(shared.Status(status))
    return client.udpate_transfer_initiation_status(
        operations.UdpateTransferInitiationStatusRequest(body, made.id)
    )


def reverse(made: Any, amount: int, asset: str = "EUR/2") -> str:
    """Take an amount back; returns the reversal's reference."""
    reference = f"back {next(numbers)}"
    body = shared.ReverseTransferInitiationRequest(amount, asset, "A mistake", {"by": "ops"}, reference)
    client.reverse_transfer_initiation(operations.ReverseTransferInitiationRequest(body, made.id))
    return reference


def retry(made: Any) -> Any:
    """Try again."""
    return client.retry_transfer_initiation(operations.RetryTransferInitiationRequest(made.id))


def delete(made: Any) -> Any:
    """Delete."""
    return client.delete_transfer_initiation(operations.DeleteTransferInitiationRequest(made.id))


def history(found: Any) -> list[str]:
    """The statuses one has had, oldest first, of what comes newest first."""
    times = [change.created_at for change in found.related_adjustments]
    assert times == sorted(times, reverse=True)
    assert len({change.adjustment_id for change in found.related_adjustments}) == len(times)
    return [change.status.value for change in reversed(found.related_adjustments)]


def provider(path: str, body: object = None) -> Any:
    """Ask the provider itself."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(SANDBOX + path, data) as answer:  # noqa: S310 - the sandbox's own address
        return json.load(answer)


def paid(reference: str) -> tuple[int, int]:
    """How often the provider has paid an order, and how much."""
    found = provider("/_books")["orders"].get(reference, {"paid": 0, "amount": 0})
    return found["paid"], found["amount"]


def accounts_come_in() -> None:
    """The provider's own accounts and beneficiaries."""

    def look() -> bool:
        page = client.paymentslist_accounts(operations.PaymentslistAccountsRequest(page_size=100))
        accounts.update({row.reference: row.id for row in page.accounts_cursor.cursor.data})
        return {"acc_000001", "acc_000002", "ben_000006"} <= accounts.keys()

    eventually(look)


def approved_and_taken_back() -> None:
    """Waiting, approved, paid once, its payment to be seen, taken back in parts until nothing is left."""
    made = order("rent", validated=False)
    assert made.status.value == "WAITING_FOR_VALIDATION"
    assert paid("rent") == (0, 0)
    assert decide(made, "VALIDATED").status_code == 204
    found = reached(made, "PROCESSED")
    assert paid("rent") == (1, 500)
    assert history(found) == ["WAITING_FOR_VALIDATION", "VALIDATED", "PROCESSING", "PROCESSED"]
    (linked,) = found.related_payments
    assert linked.status.value == "PROCESSED"
    payment = client.get_payment(operations.GetPaymentRequest(linked.payment_id)).payment_response.data
    assert (payment.amount, payment.asset, payment.status.value) == (500, "EUR/2", "SUCCEEDED")
    assert refused(lambda: decide(made, "VALIDATED")) == (409, "CONFLICT")
    assert refused(lambda: retry(made)) == (409, "CONFLICT")

    assert refused(lambda: reverse(made, 501)) == (400, "VALIDATION")
    assert refused(lambda: reverse(made, 0)) == (400, "VALIDATION")
    assert refused(lambda: reverse(made, -1)) == (400, "VALIDATION")
    assert refused(lambda: reverse(made, 1, "USD/2")) == (400, "VALIDATION")
    first = reverse(made, 200)
    found = reached(made, "PARTIALLY_REVERSED")
    assert (found.amount, found.initial_amount) == (300, 500)
    assert refused(lambda: reverse(made, 301)) == (400, "VALIDATION")
    second = reverse(made, 300)
    found = reached(made, "REVERSED")
    assert (found.amount, found.initial_amount) == (0, 500)
    assert refused(lambda: reverse(made, 1)) == (409, "CONFLICT")
    assert (paid(first), paid(second)) == ((1, 200), (1, 300))
    assert len(found.related_payments) == 3
    assert history(found)[4:] == [
        "ASK_REVERSED", "REVERSE_PROCESSING", "PARTIALLY_REVERSED",
        "ASK_REVERSED", "REVERSE_PROCESSING", "REVERSED",
    ]  # fmt: skip


def forwarded_and_paid() -> None:
    """A bank account of somebody new is made known to the provider, once, and paid to."""
    kept = client.create_bank_account(
        shared.BankAccountRequest(
            connector_id="", country="DE", name="Ada Lovelace", iban="DE89370400440532013000",
        )
    ).bank_account_response.data  # fmt: skip
    assert (kept.name, kept.country, kept.iban[-4:]) == ("Ada Lovelace", "DE", "3000")
    for _ in range(2):
        answer = client.forward_bank_account(
            operations.ForwardBankAccountRequest(shared.ForwardBankAccountRequest(CONNECTOR), kept.id)
        )
        found = answer.bank_account_response.data
        (related,) = found.related_accounts
        assert (related.connector_id, related.account_id) == (CONNECTOR, found.account_id)
    made = order("ada", destination_account_id=related.account_id)
    reached(made, "PROCESSED")
    assert paid("ada") == (1, 500)


def rejected_and_deleted() -> None:
    """Nothing is sent of these."""
    made = order("no", validated=False)
    assert decide(made, "REJECTED").status_code == 204
    assert get(made).status.value == "REJECTED"
    assert refused(lambda: decide(made, "VALIDATED")) == (409, "CONFLICT")
    assert refused(lambda: delete(made)) == (409, "CONFLICT")
    gone = order("gone", validated=False)
    assert delete(gone).status_code == 204
    assert refused(lambda: get(gone)) == (404, "NOT_FOUND")
    assert refused(lambda: delete(gone)) == (404, "NOT_FOUND")
    assert (paid("no"), paid("gone")) == ((0, 0), (0, 0))


def failed_and_tried_again() -> None:
    """What has surely failed is tried again by a person, and paid once at most."""
    stranger = client.create_account(
        shared.AccountRequest(
            connector_id=CONNECTOR, created_at=datetime.now(UTC), reference="stranger",
            type=shared.AccountType.EXTERNAL, account_name="Written down by hand", default_asset="EUR/2",
        )
    ).payments_account_response.data  # fmt: skip
    made = order("nobody", destination_account_id=stranger.id)
    for number in (1, 2):
        found = reached(made, "FAILED")
        assert "unknown_account" in found.error
        assert history(found).count("PROCESSING") == number
        if number == 1:
            assert retry(made).status_code == 204
    assert paid("nobody") == (0, 0)

    # Taken first, and failed later.
    provider("/_misbehave", {"next": ["fail-later"], "on": "POST"})
    made = order("twice")
    found = reached(made, "FAILED")
    assert found.error
    assert retry(made).status_code == 204
    found = reached(made, "PROCESSED")
    assert history(found)[-3:] == ["ASK_RETRIED", "PROCESSING", "PROCESSED"]
    assert [row.status.value for row in found.related_payments] == ["FAILED", "PROCESSED"]
    assert paid("twice") == (1, 500)


def lost_and_looked_up() -> None:
    """While nobody knows it is on its way, and says so; then the provider's books tell."""
    provider("/_misbehave", {"next": ["drop-after"], "on": "POST"})
    made = order("lost")
    found = reached(made, "PROCESSED")
    assert history(found) == ["VALIDATED", "PROCESSING", "PROCESSING", "PROCESSED"]
    assert found.related_adjustments[1].error == "outcome unknown, being looked up"
    assert paid("lost") == (1, 500)


def wrong_orders() -> None:
    """Of which nothing is stored."""
    before = len(everything())
    made = order("rent 2", validated=False)
    assert order("rent 2", validated=False).id == made.id
    assert refused(lambda: order("rent 2", amount=501, validated=False)) == (409, "CONFLICT")
    wrongs: list[dict[str, Any]] = [
        {"asset": "EUR/3"},
        {"asset": "EUR"},
        {"asset": "XAU/2"},
        {"amount": 0},
        {"amount": -1},
        {"amount": 10**80},
        {"reference": ""},
        {"destination_account_id": accounts["acc_000002"]},
        {"source_account_id": accounts["ben_000007"]},
        {"type": shared.TransferInitiationRequestType.TRANSFER},
    ]
    for wrong in wrongs:
        assert refused(partial(order, **{"reference": "wrong"} | wrong)) == (400, "VALIDATION")
    # Of the right form, and known to nobody.
    known = accounts["ben_000006"]
    plain = base64.urlsafe_b64decode(known + "=" * (-len(known) % 4)).replace(b"ben_000006", b"ben_999999")
    unknown = base64.urlsafe_b64encode(plain).decode().rstrip("=")
    assert refused(lambda: order("wrong", destination_account_id=unknown)) == (404, "NOT_FOUND")
    assert refused(lambda: order("wrong", source_account_id=unknown)) == (404, "NOT_FOUND")
    assert len(everything()) == before + 1


def everything() -> list[Any]:
    """All orders there are, page by page."""
    rows: list[Any] = []
    cursor = None
    while True:
        page = client.list_transfer_initiations(
            operations.ListTransferInitiationsRequest(cursor=cursor, page_size=2)
        ).transfer_initiations_cursor.cursor
        rows += page.data
        if not page.has_more:
            return rows
        cursor = page.next


def scheduled() -> None:
    """It waits for its time."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    made = order("later", scheduled_at=at)
    assert made.scheduled_at == at
    assert get(made).status.value == "VALIDATED"
    reached(made, "PROCESSED")
    assert datetime.now(UTC) >= at
    assert paid("later") == (1, 500)


def main() -> None:
    """All of it, in order."""
    accounts_come_in()
    approved_and_taken_back()
    forwarded_and_paid()
    rejected_and_deleted()
    failed_and_tried_again()
    lost_and_looked_up()
    wrong_orders()
    scheduled()
    found = {row.reference: row.status.value for row in everything()}
    assert found == {
        "rent": "REVERSED", "ada": "PROCESSED", "no": "REJECTED", "nobody": "FAILED", "twice": "PROCESSED",
        "lost": "PROCESSED", "rent 2": "WAITING_FOR_VALIDATION", "later": "PROCESSED",
    }  # fmt: skip


main()
