"""Sinks of a running service, as its settings name them: crashes between telling and noting, and refusals."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook
from tests.e2e.operator_commands import shell_for
from tests.e2e.service import Service, eventually, payment_file

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PAYMENTS = 20
# A password that must be seen nowhere.
PASSWORD = "hunter22hunter22"


class Hooks(ThreadingHTTPServer):
    """A receiver of webhooks that verifies, remembers, and answers as a test says; None answers nothing."""

    # Connections that wait to be accepted: sixteen requests come at once.
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: Callable[[dict[str, Any]], int | None] = lambda _: 204
        self.asked: list[dict[str, Any]] = []

    @property
    def sink(self) -> str:
        """As ``PAYMUX_SINKS`` names it."""
        return f"hooks=http://me:{PASSWORD}@127.0.0.1:{self.server_address[1]}/hooks#{SECRET}"

    def payments(self) -> list[tuple[str, str]]:
        """Of all payments' events, in order of arrival: the key and the reference."""
        return [
            (event["idempotencyKey"], event["payload"]["reference"])
            for event in list(self.asked)
            if event["type"] == "SAVED_PAYMENT"
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Hooks

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        event = Webhook(SECRET).verify(body, dict(self.headers))
        assert self.headers["authorization"].startswith("Basic ")
        self.server.asked.append(event)
        status = self.server.answer(event)
        if status is None:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Say nothing."""


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    server = Hooks()
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield server
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture
def told(hooks: Hooks, tmp_path: Path) -> Iterator[Service]:
    """A service that tells the log and the receiver."""
    service = Service(tmp_path / "service", PAYMUX_SINKS=f"log, {hooks.sink}")
    service.start()
    yield service
    if service.running:
        assert service.stop() == 0


def pay(directory: Path) -> None:
    for number in range(PAYMENTS):
        (directory / f"{number}.json").write_text(payment_file(f"{number}"))


def test_killed_between_telling_and_noting_it_tells_again_under_the_same_key(
    told: Service, hooks: Hooks, directory: Path
) -> None:
    """The receiver has the event, and the process dies before it hears so. Nothing is lost."""
    killing = threading.Lock()

    def die(event: dict[str, Any]) -> int | None:
        if event["type"] == "SAVED_PAYMENT" and killing.acquire(blocking=False):
            told.kill()
            return None
        return 204 if told.running else None

    hooks.answer = die
    pay(directory)
    told.install(directory=str(directory), pollingPeriod="1s")
    eventually(lambda: killing.locked() and not told.running, lambda: hooks.asked)
    ((key, reference), *_) = hooks.payments()
    hooks.answer = lambda _: 204
    told.start()

    eventually(lambda: len(set(hooks.payments())) == PAYMENTS, hooks.payments)
    assert hooks.payments().count((key, reference)) == 2
    eventually(lambda: told.get("/health")["data"]["events"]["waiting"] == 0, lambda: told.get("/health"))
    # The log was told as well, each by its own place in the line.
    references = [line["payload"] for line in told.lines(containing="SAVED_PAYMENT")]
    assert {json.loads(text)["reference"] for text in references} == {str(n) for n in range(PAYMENTS)}
    assert PASSWORD not in told.log()
    assert SECRET not in told.log()


def test_a_dead_letter_is_seen_and_requeued(told: Service, hooks: Hooks, directory: Path) -> None:
    """Over HTTP and at the shell; and a receiver that is down is seen in health and metrics."""
    hooks.answer = lambda event: 422 if event["type"] == "SAVED_PAYMENT" else 204
    pay(directory)
    told.install(directory=str(directory), pollingPeriod="1h")
    refused = "SELECT FROM refused_event"
    eventually(lambda: len(told.sql(refused)) == PAYMENTS, lambda: told.sql("SELECT * FROM refused_event"))
    # As if it had been offered for the last time, which takes a minute and a half.
    told.sql("UPDATE refused_event SET retry_at = NULL")
    shell = shell_for(told)
    letters = told.walk("/events/dead-letters", sink="hooks")
    assert [letter["id"] for letter in letters] == sorted(
        (one["id"] for one in letters), key=int, reverse=True
    )
    assert len(letters) == PAYMENTS
    assert letters[0]["reason"] == "HTTP 422"
    assert letters[0]["event"] in hooks.asked
    assert told.walk("/events/dead-letters", sink="log") == []
    assert told.get("/health")["data"]["events"]["sinks"][0]["deadLetters"] == PAYMENTS
    assert f'paymux_sink_dead_letters{{sink="hooks"}} {PAYMENTS}.0' in told.http.get("/metrics").text
    assert shell.json("events", "dead-letters", "--all") == letters

    hooks.answer = lambda _: 204
    asked = len(hooks.asked)
    answer = told.http.post(f"/events/dead-letters/{letters[0]['id']}/requeue")
    assert (answer.status_code, answer.json()) == (200, {"data": {"requeued": 1}})
    eventually(lambda: hooks.asked[asked:] == [letters[0]["event"]], lambda: hooks.asked[asked:])
    assert shell.json("events", "requeue", "--all", "--sink", "hooks") == {"requeued": PAYMENTS - 1}
    eventually(lambda: len(hooks.asked) == asked + PAYMENTS, lambda: hooks.asked[asked:])
    eventually(lambda: not told.sql(refused), lambda: told.sql("SELECT * FROM refused_event"))
    assert "SAVED_PAYMENT" in shell.ok("events", "list", "--type", "SAVED_PAYMENT")
    assert "no such dead letter" in shell.refused("events", "requeue", letters[0]["id"])
    assert told.http.post("/events/dead-letters/x/requeue").status_code == 400

    hooks.shutdown()
    hooks.server_close()
    told.uninstall(told.get("/connectors")["data"][0]["connectorID"])
    eventually(lambda: told.get("/health")["data"]["status"] == "degraded", lambda: told.get("/health"))
    assert 'paymux_sink_up{sink="hooks"} 0.0' in told.http.get("/metrics").text
    assert "hooks" in shell.ok("health")


@pytest.mark.parametrize("sinks", ["https://me:hunter22@host/hooks", "smoke://me:hunter22@host"])
def test_sinks_that_make_no_sense_are_refused_at_the_start(tmp_path: Path, sinks: str) -> None:
    """In a sentence that says what to do, without what is secret."""
    service = Service(tmp_path / "service", PAYMUX_SINKS=sinks)
    with pytest.raises(AssertionError):
        service.start()
    assert "PAYMUX_SINKS" in service.log()
    assert "hunter22" not in service.log()
