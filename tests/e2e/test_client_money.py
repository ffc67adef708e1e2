"""The official client moves money by the sandbox, and understands every answer."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import CLIENT, package, running
from tests.e2e.service import Service

from paymux.sandbox.server import API_KEY, Sandbox


@pytest.fixture
def paying(tmp_path: Path) -> Iterator[Service]:
    """A service with the sandbox's connector under a name that the client knows."""
    place = package(tmp_path / "packages", CLIENT / "sandbox_pay.py", "dummy-pay = sandbox_pay:SandboxPay")
    settings = {"PYTHONPATH": str(place), "PAYMUX_LOOK_UP_SCHEDULE": "1s"}
    yield from running(Service(tmp_path / "service", **settings))


def test_a_journey_of_money_with_the_client(client: Path, paying: Service) -> None:
    """Approved, paid, taken back, rejected, tried again, lost, deleted, refused; as the books say."""
    with Sandbox(payments=10) as sandbox:
        connector = paying.install("dummy-pay", url=sandbox.url, apiKey=API_KEY)
        ended = subprocess.run(
            [client, CLIENT / "money.py", str(paying.http.base_url), sandbox.url, connector],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert ended.returncode == 0, ended.stderr + paying.log()[-4000:]
