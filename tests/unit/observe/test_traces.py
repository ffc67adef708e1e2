"""When traces are made, what they tell, and that they cost nothing otherwise."""

import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from paymux.observe.instruments import Instruments
from paymux.observe.metrics import Metrics
from paymux.observe.traces import Traces, answered, configured, exporting, trace_id

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(exporter: InMemorySpanExporter) -> Traces:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Traces(provider)


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_SERVICE_NAME": "paymux"}, False),
    ],
)
def test_traces_are_made_when_the_standard_variables_ask(environment: dict[str, str], asked: bool) -> None:  # noqa: FBT001 - a parameter
    """And at no other time."""
    assert configured(environment) is asked


def test_nothing_is_made_when_nobody_asked() -> None:
    """One and the same empty block each time."""
    off = Traces()

    with off.span("run", {}) as span, off.request("GET", {}, {"traceparent": PARENT}) as request:
        assert (span, request, trace_id(span)) == (None, None, None)
    assert off.span("a", {}) is off.span("b", {})
    off.close()


def test_a_request_belongs_to_the_trace_it_names(traces: Traces, exporter: InMemorySpanExporter) -> None:
    """``traceparent`` leads on; what is done for the request is within it."""
    with (
        traces.request("GET", {"http.request.method": "GET"}, {"traceparent": PARENT}) as span,
        traces.span("within", {}),
    ):
        assert span is not None
        answered(span, "GET", "/payments/{payment}", 503)
    assert trace_id(span) == "0af7651916cd43dd8448eb211c80319c"

    inner, outer = exporter.get_finished_spans()
    assert (outer.name, outer.kind) == ("GET /payments/{payment}", SpanKind.SERVER)
    assert outer.parent is not None
    assert f"{outer.parent.span_id:016x}" == "b7ad6b7169203331"
    assert outer.status.status_code is StatusCode.ERROR
    assert outer.attributes is not None
    assert outer.attributes["http.response.status_code"] == 503
    assert outer.context is not None
    assert inner.parent is not None
    assert (inner.name, inner.parent.span_id) == ("within", outer.context.span_id)


@pytest.mark.parametrize("garbage", ["", "x", "00-0-0-0", PARENT.replace("0af7", "zzzz"), "\xff" * 500])
def test_a_traceparent_that_is_none_starts_a_trace(
    traces: Traces, exporter: InMemorySpanExporter, garbage: str
) -> None:
    """Whatever a client sends."""
    with traces.request("GET", {}, {"traceparent": garbage}):
        pass

    (span,) = exporter.get_finished_spans()
    assert span.parent is None


def test_an_error_is_told_by_its_type(traces: Traces, exporter: InMemorySpanExporter) -> None:
    """What it says may hold a secret."""
    with pytest.raises(ValueError, match="hunter2"), traces.span("work", {}):
        raise ValueError("the password is hunter2")

    (span,) = exporter.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert "hunter2" not in span.to_json()


def test_a_run_is_told_of(traces: Traces, exporter: InMemorySpanExporter) -> None:
    """Whose it was, how it ended, and its masked error; its pages are within it."""
    instruments = Instruments(Metrics(), traces)
    with instruments.run("task-1", 2) as seen:
        seen.provider, seen.task = "ACME", "scan"
        with instruments.page() as page:
            page.held("ACME", {"payment": 3}, (1, 0, 2, 0))
        seen.ended("FAILED", "401: ********")

    page_span, run_span = exporter.get_finished_spans()
    assert (run_span.name, run_span.status.description) == ("run scan", "401: ********")
    assert run_span.attributes == {
        "paymux.task_id": "task-1", "paymux.attempts": 2, "paymux.provider": "ACME", "paymux.task": "scan",
        "paymux.outcome": "FAILED",
    }  # fmt: skip
    assert page_span.name == "commit page"
    assert page_span.attributes == {
        "paymux.added": 1, "paymux.changed": 0, "paymux.unchanged": 2, "paymux.set_aside": 0
    }  # fmt: skip
    assert page_span.parent is not None
    assert run_span.context is not None
    assert page_span.parent.span_id == run_span.context.span_id


def test_without_the_extra_it_is_said_what_to_install() -> None:
    """In a process that has no SDK."""
    program = (
        "import sys; sys.modules['opentelemetry.sdk.trace'] = None\n"
        "from paymux.observe.traces import ExtraMissing, exporting\n"
        "try: exporting('1')\nexcept ExtraMissing as error: print(error)"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "paymux[otel]" in said.stdout


def test_the_service_has_a_name_in_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    """``paymux``, or what OTEL_SERVICE_NAME says."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    for name in (None, "money"):
        if name:
            monkeypatch.setenv("OTEL_SERVICE_NAME", name)
        traces = exporting("1.2.3")
        provider = traces._provider
        assert isinstance(provider, TracerProvider)
        assert provider.resource.attributes["service.name"] == (name or "paymux")
        assert provider.resource.attributes["service.version"] == "1.2.3"
        traces.close()
