"""The application: every route, at ``/…`` and identically at ``/api/payments/…``."""

from collections.abc import Sequence

from litestar import Litestar
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler

from paymux.api.audit import audited
from paymux.api.edge import Edge
from paymux.api.errors import handle
from paymux.api.limits import limited
from paymux.api.observed import App, Receive, Scope, Send, observed
from paymux.api.openapi.document import document, encoded
from paymux.api.openapi.page import rendered
from paymux.api.requests import Parts
from paymux.api.v1 import (
    accounts,
    balances,
    bank_accounts,
    configs,
    connectors,
    dead_letters,
    documents,
    events,
    health,
    metrics,
    operators,
    payments,
    pools,
    runs,
    set_aside,
    system,
    tasks,
    transfers,
)

PREFIX = "/api/payments"


HANDLERS: list[HTTPRouteHandler] = [
    *system.HANDLERS,
    *documents.HANDLERS,
    *metrics.HANDLERS,
    *connectors.HANDLERS,
    *configs.HANDLERS,
    *set_aside.HANDLERS,
    *tasks.HANDLERS,
    *runs.HANDLERS,
    *operators.HANDLERS,
    *health.HANDLERS,
    *payments.HANDLERS,
    *accounts.HANDLERS,
    *balances.HANDLERS,
    *pools.HANDLERS,
    *bank_accounts.HANDLERS,
    *events.HANDLERS,
    *dead_letters.HANDLERS,
    *transfers.HANDLERS,
]


def application(parts: Parts, edge: Edge) -> App:
    """Build it around a running service."""
    return _application(parts, HANDLERS, edge)


def watched(parts: Parts) -> App:
    """Build what a process shows of itself that answers no other requests: its health and metrics."""
    return _application(parts, [*system.HANDLERS, *metrics.HANDLERS], Edge())


def described(version: str) -> documents.Documents:
    """Describe every route."""
    written = document(HANDLERS, version)
    return documents.Documents(machine=encoded(written), people=rendered(written))


def _application(parts: Parts, handlers: Sequence[HTTPRouteHandler], edge: Edge) -> App:
    litestar = Litestar(
        handlers,
        dependencies={
            "parts": Provide(lambda: parts, sync_to_thread=False, use_cache=True),
            # When first asked for: most processes never are.
            "documents": Provide(lambda: described(parts.version), sync_to_thread=False, use_cache=True),
        },
        guards=[edge.gate.guard],
        cors_config=edge.cors,
        exception_handlers={Exception: handle},
        request_max_body_size=parts.max_body_bytes,
        openapi_config=None,
        logging_config=None,
    )

    timed = limited(
        litestar,  # type: ignore[arg-type]  # its scope is this one, spelled out
        edge.body_seconds,
        edge.answer_seconds,
    )
    app = observed(audited(timed), parts.instruments)

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        # The path without its prefix, so there is one set of routes and no second one to forget.
        if scope["type"] == "http" and scope["path"].startswith(f"{PREFIX}/"):
            scope = {**scope, "path": scope["path"][len(PREFIX) :]}
        await app(scope, receive, send)

    return both
