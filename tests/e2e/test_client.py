"""The official client of the interface, in an environment of its own, understands every answer."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from tests.e2e.conftest import CLIENT, package, running
from tests.e2e.service import Service

from paymux.sdk import (
    Account,
    AccountType,
    Amount,
    Asset,
    Balance,
    Payment,
    PaymentScheme,
    PaymentStatus,
    PaymentType,
)

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
OPERATIONS = 43


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the connector as a package of its own."""
    folder = tmp_path_factory.mktemp("packages")
    return package(folder, CLIENT / "dummy_pay.py", "dummy-pay = dummy_pay:DummyPay")


@pytest.fixture(scope="module")
def alone(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that nobody else installs anything in."""
    yield from running(Service(tmp_path_factory.mktemp("alone"), PYTHONPATH=str(place)))


def test_all_operations_of_the_client_are_answered(client: Path, alone: Service, shared: Path) -> None:
    """With nonsense for arguments: by an answer or an error that it can read, and never by a failure."""
    script = shared / "acceptance/sdk_all_operations_v1.py"
    ended = subprocess.run(
        [client, script, str(alone.http.base_url)], capture_output=True, text=True, check=False
    )

    assert ended.stdout.splitlines()[-1] == f"{OPERATIONS} passed, 0 failed", ended.stdout + ended.stderr


def test_a_journey_with_the_client(client: Path, alone: Service, tmp_path: Path) -> None:
    """What it writes and what a connector brings in is what it reads."""
    (tmp_path / "book.json").write_bytes(msgspec.json.encode(_book()))
    ended = subprocess.run(
        [client, CLIENT / "journey.py", str(alone.http.base_url), tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr + alone.log()[-4000:]


def _book() -> dict[str, list[msgspec.Struct]]:
    """Payments of every type and status, in assets of every kind; an account with a history."""
    eur, jpy, eth = Asset("EUR", 2), Asset("JPY"), Asset("ETH", 18)
    return {
        "accounts": [
            Account(
                reference="main", type=AccountType.INTERNAL, name="Main", default_asset="EUR/2",
                created_at=NOON, metadata={"team": "treasury"}, raw='{"id":"main"}',
            ),
            Account(reference="other", type=AccountType.EXTERNAL, created_at=NOON, raw="a line of text"),
        ],
        "balances": [
            Balance(account="main", amount=Amount(100, eur), at=NOON),
            Balance(account="main", amount=Amount(10**40, eth), at=NOON + timedelta(hours=1)),
            Balance(account="main", amount=Amount(-250, eur), at=NOON + timedelta(hours=2)),
        ],
        "payments": [
            Payment(
                reference=f"payment {number}",
                type=list(PaymentType)[number % 4],
                status=status,
                amount=Amount(10 ** (3 * number), (eur, jpy, eth)[number % 3]),
                scheme=list(PaymentScheme)[number],
                created_at=NOON + timedelta(minutes=number),
                source=(None, "main", "nobody")[number % 3],
                metadata={"number": str(number)} if number % 2 else {},
                raw=(None, '{"number":1.50}', "[1, 2]", "number;status")[number % 4],
            )
            for number, status in enumerate(PaymentStatus)
        ],
    }  # fmt: skip
