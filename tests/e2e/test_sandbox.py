"""``paymux sandbox``, as a person tries it: every command of the how-to works."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.e2e.service import PATIENCE, PAYMUX, Service, eventually

PAGE = Path(__file__).parents[2] / "docs/how-to/try-the-sandbox.md"
COMMANDS = re.findall(r"^ *```sh\n(.*?)^ *```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def sandbox() -> Iterator[str]:
    """The address of one that was started by its command, and stops when told."""
    started = subprocess.Popen([PAYMUX, "sandbox", "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert started.stdout
    line = started.stdout.readline()
    assert line.startswith("paymux sandbox is ready at http://")
    yield line.split()[-1]
    started.send_signal(signal.SIGINT)
    assert started.wait(PATIENCE) == 0
    started.stdout.close()


def test_the_how_to_works(service: Service, sandbox: str) -> None:
    """In the order of the page, with the addresses of here."""
    start, *commands = COMMANDS
    assert start.strip() == "paymux sandbox"
    here = {
        "http://127.0.0.1:8090": sandbox,
        "localhost:8090": sandbox,
        "localhost:8080": str(service.http.base_url),
    }
    said = []
    for command in commands:
        # Each line is a call of its own; those of before may be continued.
        script = re.sub(r"\\\n", " ", command)
        for there, address in here.items():
            script = script.replace(there, address)
        for line in filter(str.strip, script.splitlines()):
            ended = subprocess.run(
                ["bash", "-c", line.replace("curl ", "curl -sS --max-time 20 ", 1)],
                capture_output=True, text=True, check=False, timeout=PATIENCE,
            )  # fmt: skip
            # 52 is "no answer", which is what drop-after is for.
            assert ended.returncode == (52 if "drop-after" in line else 0), (line, ended.stderr)
            assert "error" not in ended.stdout[:20], (line, ended.stdout)
            said.append(ended.stdout)

    books = httpx.get(f"{sandbox}/_books").json()
    assert books["orders"]["rent"]["paid"] == 1
    assert books["served"]["drop-after"] == 1
    (connector,) = (
        c["connectorID"] for c in service.get("/connectors")["data"] if c["provider"] == "DUMMYPAY"
    )
    eventually(
        lambda: {p["reference"] for p in service.payments(connector)} == set(books["payments"]),
        lambda: service.get("/health"),
    )
    service.uninstall(connector, "dummypay")
    assert len(said) == 9


def test_a_chance_begins_with_the_command() -> None:
    """Wrong words end with status 2, and say what there is."""
    for wrong, sentence in {"levitate=1": "drop-after", "slow": "slow=0.2", "slow=2": "from 0 to 1"}.items():
        ended = subprocess.run(
            [PAYMUX, "sandbox", "--misbehave", wrong], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 2
        assert sentence in ended.stderr
    with subprocess.Popen(
        [PAYMUX, "sandbox", "--port", "0", "--misbehave", "fail-before=1"], stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout
        url = started.stdout.readline().split()[-1]
        answer = httpx.get(f"{url}/v1/payments", headers={"Authorization": "Bearer sandbox"})
        assert answer.status_code == 503
        assert json.loads(answer.content)["error"]["code"] == "unavailable"
        # An address that is taken, in a sentence.
        port = url.rpartition(":")[2]
        again = subprocess.run(
            [PAYMUX, "sandbox", "--port", port], capture_output=True, text=True, check=False
        )
        assert (again.returncode, "Choose another --port" in again.stderr) == (1, True)
        started.terminate()
        assert started.wait(PATIENCE) == 0
