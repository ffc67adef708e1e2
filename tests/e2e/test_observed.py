"""What operators see of a running service: metrics, request ids, a line a request; also of a worker."""

import gzip
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import ROOT
from tests.e2e.service import PATIENCE, PAYMUX, PREFIXES, Service, eventually, payment_file

PAGE = ROOT / "docs/reference/metrics.md"
DOCUMENTED = re.compile(r"^\| `(paymux_\w+)` \| (\w+) \|", re.MULTILINE)
KEYS = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def _metrics(service: Service, path: str = "/metrics") -> dict[str, list[tuple[dict[str, str], float]]]:
    answer = service.http.get(path)
    assert answer.is_success
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prometheus_can_read_it(service: Service, prefix: str) -> None:
    """Of the type it asks for, under either prefix."""
    answer = service.http.get(f"{prefix}/metrics")

    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert _metrics(service, f"{prefix}/metrics")["paymux_database_up"] == [({}, 1)]


def test_every_metric_is_in_metrics_md(service: Service) -> None:
    """With its type, and nothing that is gone."""
    types = dict(re.findall(r"^# TYPE (paymux_\w+) (\w+)$", service.http.get("/metrics").text, re.MULTILINE))

    assert dict(DOCUMENTED.findall(PAGE.read_text("utf-8"))) == types


def test_work_and_requests_are_counted_without_ids(service: Service, directory: Path) -> None:
    """By provider, task and route; no connectorID, reference or path gets into a label."""
    connector = service.install(directory=str(directory), name="counted")
    (directory / "cargo.json").write_text(payment_file("cargo-reference"))
    eventually(lambda: service.payments(connector), lambda: service.tasks(connector))
    assert service.http.get(f"/payments/{connector}").status_code == 400
    assert service.http.get(f"/no-such-place/{connector}").status_code == 404
    assert service.http.request("BREW", "/connectors").status_code == 405

    found = _metrics(service)
    text = service.http.get("/metrics").text

    ran = {
        (labels["provider"], labels["task"], labels["outcome"]) for labels, _ in found["paymux_runs_total"]
    }
    assert {("EXAMPLE", "directory", "SUCCEEDED"), ("EXAMPLE", "file", "SUCCEEDED")} <= ran
    assert ({"provider": "EXAMPLE"}, 1) in found["paymux_installations"]
    routes = [labels for labels, _ in found["paymux_http_requests_total"]]
    assert {"method": "GET", "route": "/payments/{payment}", "status": "400"} in routes
    assert {"method": "GET", "route": "unmatched", "status": "404"} in routes
    assert {"method": "OTHER", "route": "unmatched", "status": "405"} in routes
    for hidden in (connector, "cargo", "no-such-place", "counted", "BREW"):
        assert hidden not in text


@pytest.mark.parametrize("given", ["abc-123", "a" * 128, "00-0af7/x:y=z+1@h"])
def test_a_request_id_that_is_sane_is_kept(service: Service, given: str) -> None:
    """A proxy finds its own again: in the answer and in the log."""
    answer = service.http.get("/connectors", headers={"X-Request-Id": given})

    assert answer.headers["X-Request-Id"] == given
    (line,) = eventually(lambda: _requests(service, given), service.log)
    assert (line["request-id"], line["method"], line["path"], line["status"]) == (
        given, "GET", "/connectors", 200
    )  # fmt: skip
    assert line["duration-ms"] > 0
    assert (line["level"], line["component"]) == ("info", "api")


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", 'x" level=error', "é", "a\tb"])
def test_any_other_request_id_is_replaced(service: Service, given: str) -> None:
    """What could break up a line, or fill it."""
    answer = service.http.get("/connectors", headers=[(b"X-Request-Id", given.encode())])

    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-Id"])


def test_all_lines_of_a_request_have_its_id(service: Service, directory: Path) -> None:
    """Whichever room wrote them."""
    answer = service.http.post(
        "/connectors/example", json={"directory": str(directory)}, headers={"X-Request-Id": "whole-story"}
    )
    assert answer.status_code == 201

    # The line about the request itself is written when it has been answered.
    eventually(lambda: _requests(service, "whole-story"), service.log)
    lines = service.lines(containing='"whole-story"')
    assert [line["msg"] for line in lines] == [
        "Install connector", "Connector installed", "Write", "Request",
    ]  # fmt: skip


def test_machines_that_ask_all_the_time_leave_no_lines(service: Service) -> None:
    """Health checks and scrapes; what a request was refused for is there."""
    machine = {"X-Request-Id": "a-machine"}
    for path in ("/_health", "/_healthcheck", "/_live", "/metrics", "/api/payments/_health"):
        assert service.http.get(path, headers=machine).is_success
    assert service.http.get("/nothing?secret=hunter2", headers=machine).status_code == 404

    (line,) = eventually(lambda: _requests(service, "a-machine"), service.log)
    assert (line["path"], line["status"]) == ("/nothing", 404)
    assert "hunter2" not in service.log()


def _requests(service: Service, request_id: str) -> list[dict[str, Any]]:
    lines = service.lines(containing=request_id)
    return [line for line in lines if line["msg"] == "Request" and line["request-id"] == request_id]


def test_a_worker_serves_its_metrics_when_told_where(database_url: str, tmp_path: Path) -> None:
    """And its health, on this machine alone; and nothing else."""
    settings = {
        "PAYMUX_DATABASE_URL": database_url, "PAYMUX_ENCRYPTION_KEYS": KEYS, "PAYMUX_METRICS_PORT": "0"
    }  # fmt: skip
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAYMUX_")}
    said, log = tmp_path / "said", tmp_path / "log"
    with said.open("wb") as out, log.open("wb") as err:
        worker = subprocess.Popen([PAYMUX, "worker"], stdout=out, stderr=err, env=inherited | settings)
    try:
        greeting = eventually(lambda: said.read_text("utf-8"), lambda: log.read_text("utf-8"))
        where = re.search(r"http://127\.0\.0\.1:\d+", greeting)
        assert where is not None
        with httpx.Client(base_url=where[0], timeout=PATIENCE) as http:
            assert "paymux_queue_jobs 0.0" in http.get("/metrics").text
            assert http.get("/_health").json() == {"status": "ok"}
            assert http.get("/connectors").status_code == 404
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0


def test_a_worker_says_when_its_port_is_taken(service: Service, database_url: str) -> None:
    """Before it starts to work."""
    settings = {
        "PAYMUX_DATABASE_URL": database_url,
        "PAYMUX_ENCRYPTION_KEYS": KEYS,
        "PAYMUX_METRICS_PORT": str(service.http.base_url.port),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAYMUX_")}

    ended = subprocess.run(
        [PAYMUX, "worker"],
        capture_output=True,
        text=True,
        env=inherited | settings,
        timeout=PATIENCE,
        check=False,
    )

    assert ended.returncode == 1
    assert "PAYMUX_METRICS_PORT" in ended.stderr


@pytest.fixture
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """The URL of an OpenTelemetry collector, and what it was sent."""
    taken: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                taken.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", taken
        server.shutdown()


def test_traces_go_where_the_standard_variables_say(
    collector: tuple[str, list[ExportTraceServiceRequest]], tmp_path: Path, directory: Path
) -> None:
    """A request within its caller's trace, runs and their pages; all of it sent by the end."""
    where, taken = collector
    service = Service(tmp_path / "service", OTEL_EXPORTER_OTLP_ENDPOINT=where, OTEL_SERVICE_NAME="money")
    service.start()
    (directory / "a.json").write_text(payment_file("a"))
    connector = service.install(directory=str(directory))
    eventually(lambda: service.payments(connector), lambda: service.tasks(connector))
    caller = "0af7651916cd43dd8448eb211c80319c"
    service.http.get("/connectors", headers={"traceparent": f"00-{caller}-b7ad6b7169203331-01"})
    assert service.stop() == 0

    spans = [
        span for request in taken for of in request.resource_spans for scope in of.scope_spans
        for span in scope.spans
    ]  # fmt: skip
    names = {span.name for span in spans}
    assert {"POST /connectors/{provider}", "GET /connectors", "run directory", "run file"} <= names
    called = [span for span in spans if span.trace_id.hex() == caller]
    assert [span.name for span in called] == ["GET /connectors"]
    (line,) = [line for line in service.lines(containing=caller) if line["msg"] == "Request"]
    assert line["trace-id"] == caller
    pages = {span.parent_span_id for span in spans if span.name == "commit page"}
    assert pages <= {span.span_id for span in spans if span.name.startswith("run ")}
    assert pages
    named = {
        attribute.value.string_value for request in taken for of in request.resource_spans
        for attribute in of.resource.attributes if attribute.key == "service.name"
    }  # fmt: skip
    assert named == {"money"}
