"""What is seen of every request: a line in the log, its metrics, and a span.

A request has an id: the one in its ``X-Request-Id`` where that is sane, one of ours otherwise. It is
returned, and stands on every line that is logged for the request, by whichever room.
"""

import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from uuid import uuid4

import structlog

from paymux.observe.instruments import Instruments
from paymux.observe.traces import answered, trace_id

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST_ID = b"x-request-id"
# What tools and proxies make; anything else could be made to look like more than one field of a log.
_SANE = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
# Asked for every few seconds, by machines; a line for each would be most of the log.
_QUIET = {"/_health", "/_healthcheck", "/_live", "/metrics"}
_METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
# Where no route was found, and where a method is none of HTTP's: neither may be what the client says.
UNMATCHED, OTHER = "unmatched", "OTHER"
# As proxies log a client that went away before it was answered.
_GONE = 499
_BAD_REQUEST = 400


def observed(app: App, instruments: Instruments) -> App:
    """Watch an application's requests."""
    log = structlog.get_logger().bind(component="api")

    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(REQUEST_ID, b"")
        request_id = given if _SANE.fullmatch(given) else uuid4().hex.encode()
        method, path = scope["method"], scope["path"]
        status = _GONE

        async def answer(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID, request_id)]
            await send(message)

        start = time.perf_counter()
        known = method if method in _METHODS else OTHER
        bound = structlog.contextvars.bind_contextvars(**{"request-id": request_id.decode()})
        with instruments.traces.request(known, {"http.request.method": known}, _text(headers)) as span:
            try:
                await app(scope, receive, answer)
            finally:
                seconds = time.perf_counter() - start
                route = scope.get("path_template") or UNMATCHED
                instruments.metrics.request(known, route, status, seconds)
                told: dict[str, Any] = {"duration-ms": round(seconds * 1000, 2)}
                if span is not None:
                    answered(span, known, route, status)
                    told["trace-id"] = trace_id(span)
                quiet = path in _QUIET and status < _BAD_REQUEST
                line = log.debug if quiet else log.info
                line("Request", method=method, path=path, status=status, **told)
                structlog.contextvars.reset_contextvars(**bound)

    return watching


def _text(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """The headers that carry a trace."""
    return {
        name.decode(): headers[name].decode("latin-1")
        for name in (b"traceparent", b"tracestate")
        if name in headers
    }
