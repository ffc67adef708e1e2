"""The audit: one line for every write, or try of one: who, what, which object, and how it went."""

from typing import Any

import msgspec
import structlog
from litestar.handlers import HTTPRouteHandler

from paymux.api.auth.callers import ANYBODY, Caller
from paymux.api.observed import App, Receive, Scope, Send
from paymux.api.openapi.document import operation_id

_READS = {"GET", "HEAD", "OPTIONS"}
# Where a client went away, or we failed, before an answer began.
_NONE = 0
_UNAUTHENTICATED = 401
_SUCCEEDED = range(200, 300)
# Bytes of an answer that are looked into for the id of what was made.
_LOOKED_AT = 64 * 1024
# Characters of an id in a line: more than any of ours has, and not as many as an address can hold.
_SHOWN = 1_000
_IDS = ("id", "connectorID")


def audited(app: App) -> App:
    """Write down what an application's requests change."""
    log = structlog.get_logger().bind(component="audit")

    async def auditing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _READS:
            await app(scope, receive, send)
            return
        status, body = _NONE, b""

        async def answer(message: Any) -> None:
            nonlocal status, body
            if message["type"] == "http.response.start":
                status = message["status"]
            elif status in _SUCCEEDED and len(body) < _LOOKED_AT:
                body += message.get("body", b"")
            await send(message)

        try:
            await app(scope, receive, answer)
        finally:
            route = scope.get("path_template")
            if route is not None:  # nothing is there otherwise, and nothing was tried
                log.info(
                    "Write",
                    who=_who(scope, status),
                    method=scope["method"],
                    route=route,
                    operation=_operation(scope),
                    status=status,
                    **_objects(scope, body),
                )

    return auditing


def _who(scope: Scope, status: int) -> str | None:
    """The name of the caller; None where nobody knows it."""
    caller: Caller | None = scope.get("state", {}).get("caller")
    if caller is None and status == _UNAUTHENTICATED:
        return None
    return (caller or ANYBODY).name


def _operation(scope: Scope) -> str:
    """As the document calls it."""
    handler = scope.get("route_handler")
    return operation_id(handler, scope["path_template"]) if isinstance(handler, HTTPRouteHandler) else ""


def _objects(scope: Scope, body: bytes) -> dict[str, str]:
    """What it was about: the ids of the path, and of what was made."""
    places = scope.get("path_params", {})
    found = {name.replace("_", "-"): str(value)[:_SHOWN] for name, value in places.items()}
    try:
        data = msgspec.json.decode(body)["data"] if body else {}
        made = next((data[name] for name in _IDS if name in data), None)
    except (msgspec.DecodeError, KeyError, TypeError):
        made = None
    return found | ({"id": str(made)[:_SHOWN]} if made is not None else {})
