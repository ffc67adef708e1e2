"""Transfer initiations over HTTP, as somebody uses them who means no good."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.e2e.service import Service, eventually

from paymux.sandbox.server import API_KEY, Sandbox

NO_METADATA: tuple[object, ...] = ([], {"a": "\0"})
# Who do the same at once.
CROWD = 6


class Desk:
    """An installation to move money by, and what is asked about it."""

    def __init__(self, service: Service, sandbox: Sandbox) -> None:
        self.service = service
        self.sandbox = sandbox
        self.connector = service.install("dummypay", url=sandbox.url, apiKey=API_KEY)
        self.accounts = eventually(self._accounts, lambda: service.get("/health"))

    def _accounts(self) -> dict[str, str] | None:
        rows = self.service.walk("/accounts")
        found = {row["reference"]: row["id"] for row in rows if row["connectorID"] == self.connector}
        return found if {"acc_000001", "ben_000006"} <= found.keys() else None

    def order(self, reference: object, **more: object) -> httpx.Response:
        body = {
            "reference": reference, "type": "PAYOUT", "amount": 500, "asset": "EUR/2",
            "connectorID": self.connector, "sourceAccountID": self.accounts["acc_000001"],
            "destinationAccountID": self.accounts["ben_000006"],
        }  # fmt: skip
        return self.service.http.post("/transfer-initiations", json=body | more)

    def made(self, reference: str, **more: object) -> str:
        """The path of an order that must be possible."""
        answer = self.order(reference, **more)
        assert answer.status_code == 200, answer.text
        return f"/transfer-initiations/{answer.json()['data']['id']}"

    def reached(self, path: str, status: str) -> None:
        eventually(lambda: self.service.get(path)["data"]["status"] == status, lambda: self.service.get(path))

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.service.http.post(path, json=body)

    def paid(self) -> dict[str, int]:
        """How often the provider has paid each order that it has heard of."""
        return {name: order["paid"] for name, order in self.sandbox.books()["orders"].items()}


@pytest.fixture
def desk(service: Service) -> Iterator[Desk]:
    with Sandbox(payments=3) as sandbox:
        yield Desk(service, sandbox)


def at_once(act: Callable[[int], httpx.Response]) -> Counter[int]:
    """The statuses that a crowd gets."""
    with ThreadPoolExecutor(CROWD) as crowd:
        return Counter(answer.status_code for answer in crowd.map(act, range(CROWD)))


def test_of_a_crowd_that_decides_at_once_one_wins(desk: Desk) -> None:
    """Orders, approvals, retries and reversals; the provider pays each once."""
    lost = CROWD - 1
    assert at_once(lambda _: desk.order("same", validated=True)) == {200: CROWD}
    assert at_once(lambda n: desk.order("other", amount=1 + n, validated=True)) == {200: 1, 409: lost}
    path = desk.made("approved")
    assert at_once(lambda _: desk.post(f"{path}/status", status="VALIDATED")) == {204: 1, 409: lost}
    desk.reached(path, "PROCESSED")

    def reverse(number: int) -> httpx.Response:
        return desk.post(f"{path}/reverse", reference=f"back {number}", amount=300, asset="EUR/2")

    assert at_once(reverse) == {204: 1, 409: lost}
    desk.reached(path, "PARTIALLY_REVERSED")
    failed = desk.made("failed", amount=10**9, validated=True)
    desk.reached(failed, "FAILED")
    assert at_once(lambda _: desk.post(f"{failed}/retry")) == {204: 1, 409: lost}
    unsure = desk.made("unsure")
    acts = (
        lambda: desk.post(f"{unsure}/status", status="REJECTED"),
        lambda: desk.service.http.delete(unsure),
    )
    statuses = at_once(lambda n: acts[n % 2]())
    assert statuses[204] == 1
    assert statuses.keys() <= {204, 404, 409}

    paid = desk.paid()
    assert (paid["same"], paid["other"], paid["approved"]) == (1, 1, 1)
    assert sum(times for name, times in paid.items() if name.startswith("back")) == 1
    assert paid.keys() & {"failed", "unsure"} == set()


@pytest.mark.parametrize("reference", ["💶/../%2f?#&", "\u202egnol", "a\nb", "'; DROP TABLE transfer --"])
def test_a_reference_is_text_and_nothing_else(desk: Desk, reference: str) -> None:
    """It comes back as it was given, by its identifier and in the list, and is paid under it."""
    path = desk.made(reference, validated=True)
    desk.reached(path, "PROCESSED")

    assert desk.service.get(path)["data"]["reference"] == reference
    assert desk.paid() == {reference: 1}


def test_nonsense_is_refused_by_its_field_and_leaves_nothing_behind(desk: Desk) -> None:
    """Whatever it is, never by a failure of ours."""
    other = Desk(desk.service, desk.sandbox).accounts
    nonsense: list[tuple[str, object]] = [
        *(("reference", text) for text in ("", "  ", "x" * 501, "a\0b", 5, None)),
        *(("amount", number) for number in (0, -1, 1.5, "5", True, None, 10**78)),
        *(("asset", text) for text in ("eur/2", "EUR/3", "EUR", "XAU/2", "")),
        *(
            ("scheduledAt", time)
            for time in ("tomorrow", "2030-01-01T00:00:00", "2030-02-30T00:00:00Z", "9999-12-31T23:59:59Z",
                         "0001-01-01T00:00:00+14:00", 5)
        ),
        *(("metadata", metadata) for metadata in NO_METADATA),
        *(("type", word) for word in ("PAYIN", "TRANSFER", None)),
        ("destinationAccountID", other["ben_000006"]),
        ("sourceAccountID", other["acc_000001"]),
        ("sourceAccountID", desk.accounts["ben_000007"]),
        ("surprise", 1),
    ]  # fmt: skip
    for field, value in nonsense:
        answer = desk.order(**{"reference": "nonsense"} | {field: value})
        assert (answer.status_code, answer.json()["errorCode"]) == (400, "VALIDATION"), answer.text
        named = "destinationAccountID" if (field, value) == ("type", "TRANSFER") else field
        assert named in answer.json()["errorMessage"], answer.text

    assert desk.service.walk("/transfer-initiations") == []
