"""The application: every route, at ``/…`` and identically at ``/api/payments/…``."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from litestar import Litestar
from litestar.di import Provide

from paymux.api.errors import handle
from paymux.api.requests import Parts
from paymux.api.v1 import connectors, health, operators, payments, runs, system, tasks

PREFIX = "/api/payments"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def application(parts: Parts) -> App:
    """Build it around a running service."""
    app = Litestar(
        [
            *system.HANDLERS,
            *connectors.HANDLERS,
            *tasks.HANDLERS,
            *runs.HANDLERS,
            *operators.HANDLERS,
            *health.HANDLERS,
            *payments.HANDLERS,
        ],
        dependencies={"parts": Provide(lambda: parts, sync_to_thread=False, use_cache=True)},
        exception_handlers={Exception: handle},
        request_max_body_size=parts.max_body_bytes,
        openapi_config=None,
        logging_config=None,
    )

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        # The path without its prefix, so there is one set of routes and no second one to forget.
        if scope["type"] == "http" and scope["path"].startswith(f"{PREFIX}/"):
            scope = {**scope, "path": scope["path"][len(PREFIX) :]}
        await app(scope, receive, send)  # type: ignore[arg-type]  # its scope is this one, spelled out

    return both
