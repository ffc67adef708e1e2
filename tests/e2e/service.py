"""``paymux serve`` as a process: started, asked over HTTP, stopped, killed and started again."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import asyncpg
import httpx

PAYMUX = Path(sys.executable).with_name("paymux")

# Every route is there twice.
PREFIXES = ("", "/api/payments")
# Seconds; far beyond what anything here takes, so that a slow machine is not a failing test.
PATIENCE = 60.0
LOOK = 0.05

T = TypeVar("T")


class Service:
    """One data directory, and the process that serves it."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.data_dir = home / "data"
        self.log_file = home / "log"
        self._said = home / "stdout"
        self._settings = {"PAYMUX_LOG_FORMAT": "json", **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client()

    def command(self) -> list[str]:
        """The command line; port 0, because a port that is free now may not be in a moment."""
        return [str(PAYMUX), "serve", "--data-dir", str(self.data_dir), "--port", "0"]

    def environment(self) -> dict[str, str]:
        """Ours without its own settings, and with the test's."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAYMUX_")}
        return inherited | self._settings

    def start(self) -> None:
        """Start the process and wait until it is well."""
        self.home.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log, self._said.open("wb") as said:
            self._process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=said, stderr=log, env=self.environment()
            )
        line = eventually(self._ready_line, lambda: f"no greeting; the log: {self.log()[-4000:]}")
        self.http = httpx.Client(base_url=line.removeprefix("paymux is ready at "), timeout=PATIENCE)
        eventually(lambda: self.http.get("/_health").is_success, lambda: "GET /_health is never 200")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, as Ctrl-C (SIGINT) or an init system (SIGTERM) would; returns the exit code."""
        assert self._process is not None
        self.http.close()
        self._process.send_signal(number)
        code = self._process.wait(PATIENCE)
        self._process = None
        return code

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self.http.close()
        self._process.kill()
        self._process.wait(PATIENCE)
        self._process = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    def get(self, path: str, **params: str) -> Any:
        """The JSON of a GET that must succeed."""
        answer = self.http.get(path, params=params)
        assert answer.is_success, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def install(self, provider: str = "example", **config: object) -> str:
        """Install a connector that must be installable; returns its connectorID."""
        answer = self.http.post(f"/connectors/{provider}", json={"pollingPeriod": "1s", **config})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"]["connectorID"])

    def uninstall(self, connector: str, provider: str = "example") -> None:
        """Uninstall, and wait for what it brought in to be gone."""
        assert self.http.delete(f"/connectors/{provider}/{connector}").status_code == 204

    def walk(self, path: str, **params: str) -> list[dict[str, Any]]:
        """Everything of a list, page by page."""
        page = self.get(path, pageSize="100", **params)["cursor"]
        rows = list(page["data"])
        while "next" in page:
            page = self.get(path, cursor=page["next"], **params)["cursor"]
            rows += page["data"]
        return rows

    def payments(self, connector: str) -> list[dict[str, Any]]:
        """The payments of an installation."""
        return self.walk("/payments", query=json.dumps({"$match": {"connectorID": connector}}))

    def tasks(self, connector: str, provider: str = "example") -> list[dict[str, Any]]:
        """The tasks of an installation."""
        return self.walk(f"/connectors/{provider}/{connector}/tasks")

    def set_aside(self, connector: str, provider: str = "example") -> list[dict[str, Any]]:
        """The records of an installation that made no sense."""
        return self.walk(f"/connectors/{provider}/{connector}/set-aside")

    def log(self) -> str:
        """All that was logged, by every process so far."""
        return self.log_file.read_text("utf-8") if self.log_file.exists() else ""

    def lines(self, start: int = 0, containing: str = "") -> list[dict[str, Any]]:
        """Log lines from character ``start`` on; one that a kill cut off is left out."""
        lines = self.log()[start:].splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("}\n") and containing in line]

    def events(self, connector: str, kind: str = "SAVED_PAYMENT") -> list[tuple[str, dict[str, Any]]]:
        """Idempotency key and payload of what was published about an installation, in order."""
        found = []
        for line in self.lines(containing=connector):
            if line["msg"] == "Publishing message" and line["type"] == kind:
                payload = json.loads(line["payload"])
                if payload["connectorId"] == connector:
                    found.append((line["message_uuid"], payload))
        return found

    def sql(self, statement: str, *args: object) -> list[dict[str, Any]]:
        """Look behind the interface, in the embedded database."""
        return asyncio.run(self._sql(statement, *args))

    async def _sql(self, statement: str, *args: object) -> list[dict[str, Any]]:
        password = (self.data_dir / "postgres-password").read_text("utf-8")
        sockets = quote(self._postmaster()[4])
        connection = await asyncpg.connect(
            f"postgresql://paymux:{password}@/paymux?host={sockets}",
            server_settings={"search_path": "paymux"},
        )
        try:
            return [dict(row) for row in await connection.fetch(statement, *args)]
        finally:
            await connection.close()

    @property
    def database_pid(self) -> int:
        """Of the embedded PostgreSQL."""
        return int(self._postmaster()[0])

    def _postmaster(self) -> list[str]:
        return (self.data_dir / "postgres" / "postmaster.pid").read_text("utf-8").splitlines()

    def _ready_line(self) -> str | None:
        assert self.running, f"paymux ended; the log: {self.log()[-4000:]}"
        lines = self._said.read_text("utf-8").splitlines()
        return next((line for line in lines if line.startswith("paymux is ready at ")), None)


def eventually(look: Callable[[], T | None], why: Callable[[], object], patience: float = PATIENCE) -> T:
    """Wait for something to become true, and return it."""
    give_up = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < give_up, why()
        time.sleep(LOOK)


def payment_file(reference: object, **fields: object) -> str:
    """The tutorial's file, with another reference and perhaps other fields; None leaves one out."""
    content: Mapping[str, object] = {
        "created_at": "2019-05-15T14:00:00.000Z",
        "reference": reference,
        "amount": 100,
        "asset": "EUR/2",
        "type": "TRANSFER",
        "status": "SUCCEEDED",
        "scheme": "visa",
    } | fields
    return json.dumps({name: value for name, value in content.items() if value is not None})


def encoded(identity: dict[str, Any]) -> str:
    """The identifier of what is identified so."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """Check that an answer is this error, in the shape of an error; returns its message."""
    body = answer.json()
    assert (answer.status_code, body["errorCode"]) == (status, code), answer.text
    assert body.keys() - {"details"} == {"errorCode", "errorMessage"}
    assert body["errorMessage"]
    return str(body["errorMessage"])
