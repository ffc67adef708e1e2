"""Traces: what a request, a run and a page's commit took part in, told to an OpenTelemetry collector.

Nothing is traced unless the standard variables say where to: ``OTEL_EXPORTER_OTLP_ENDPOINT`` or
``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``. Then the extra ``paymux[otel]`` must be installed. Errors are told
by their type alone: what an exception says may hold a secret, and a collector masks nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Thread

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
Attributes = Mapping[str, str | int]

_NOTHING: AbstractContextManager[None] = nullcontext()
_PROPAGATOR = TraceContextTextMapPropagator()
_SERVER_ERROR = 500
# Seconds for the last spans; left to itself the exporter tries again for ten.
_CLOSING = 3.0


class ExtraMissing(ImportError):
    """OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is traced: install the extra paymux[otel]."""


class Traces:
    """Makes the spans of one service; without a provider it makes none, at the cost of asking."""

    def __init__(self, provider: TracerProvider | None = None, version: str = "") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("paymux", version) if provider is not None else None

    @property
    def on(self) -> bool:
        """Whether anything is traced."""
        return self._tracer is not None

    def span(self, name: str, attributes: Attributes) -> AbstractContextManager[Span | None]:
        """Around a piece of work, within whatever is being traced."""
        return _NOTHING if self._tracer is None else self._made(name, attributes, SpanKind.INTERNAL, {})

    def request(
        self, name: str, attributes: Attributes, headers: Mapping[str, str]
    ) -> AbstractContextManager[Span | None]:
        """Around a request, within the trace that its ``traceparent`` names."""
        return _NOTHING if self._tracer is None else self._made(name, attributes, SpanKind.SERVER, headers)

    def close(self) -> None:
        """Send what is yet to be sent; blocks for that, but not for long: a collector may be away."""
        shutdown = getattr(self._provider, "shutdown", None)
        if shutdown is not None:
            # A daemon: left behind, it keeps no process alive.
            closing = Thread(target=shutdown, name="traces", daemon=True)
            closing.start()
            closing.join(_CLOSING)

    @contextmanager
    def _made(
        self, name: str, attributes: Attributes, kind: SpanKind, headers: Mapping[str, str]
    ) -> Iterator[Span]:
        assert self._tracer is not None  # noqa: S101 - or there would be nothing to make
        parent = _PROPAGATOR.extract(headers) if headers else None
        with self._tracer.start_as_current_span(
            name,
            parent,
            kind,
            dict(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                failed(span, type(error).__name__)
                raise


def failed(span: Span, why: str) -> None:
    """Say that what the span stands for failed; ``why`` holds no secret."""
    span.set_status(Status(StatusCode.ERROR, why))


def answered(span: Span, method: str, route: str, status: int) -> None:
    """Say how a request was answered; its name is known by now."""
    span.update_name(f"{method} {route}")
    span.set_attributes({"http.route": route, "http.response.status_code": status})
    if status >= _SERVER_ERROR:
        failed(span, str(status))


def trace_id(span: Span | None) -> str | None:
    """For the log, so that one leads to the other."""
    return None if span is None else f"{span.get_span_context().trace_id:032x}"


def configured(environment: Mapping[str, str]) -> bool:
    """Whether the standard variables ask for traces."""
    off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    none = environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "none"
    return any(environment.get(name, "").strip() for name in ENDPOINTS) and not off and not none


def exporting(version: str) -> Traces:
    """Send spans to where the standard variables say, in a thread of its own.

    Raises:
        ExtraMissing: what sends them is not installed.
    """
    try:
        # An extra: nobody who does not trace should have to install it.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider as Provider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise ExtraMissing(ExtraMissing.__doc__) from error
    resource = Resource({"service.name": "paymux", "service.version": version})
    named = {
        key: value
        for key, value in Resource.create().attributes.items()
        if not (key == "service.name" and str(value).startswith("unknown_service"))
    }
    provider = Provider(resource=resource.merge(Resource(named)), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider, version)
