"""What goes wrong, as clients see it: ``{"errorCode", "errorMessage", "details"?}``.

Messages are made by us or by a rule that was broken; an error nobody foresaw says no more than that
it happened, and is in the log with everything.
"""

from collections.abc import Mapping
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from paymux.api.auth.callers import IssuerAway, NotAllowed, NotAuthenticated
from paymux.domain.errors import SHOWN_CHARS_MAX, DomainError, InvalidId
from paymux.runtime.installations import InstallationGone
from paymux.runtime.registry import UnknownConnector
from paymux.sdk import BadConfig, ConnectorError, TaskFailed
from paymux.services.banking import MetadataTooLarge, NoSuchBankAccount
from paymux.services.calling import ConnectorFailed
from paymux.services.configuring import ChangedMeanwhile
from paymux.services.forwarding import (
    BeingForwarded,
    CannotForward,
    ForwardFailed,
    ForwardRefused,
    ForwardUnknown,
)
from paymux.services.installing import Ambiguous, BeingReset, NameTaken, NotInstalled
from paymux.services.operating import NoSuchTask, NotNow
from paymux.services.pooling import NoSuchPool, NotInPool, PoolNameTaken, PoolTooLarge
from paymux.services.recording import NoSuchPayment, TooMuchMetadata
from paymux.services.replaying import CannotReplay, NoSuchRecord, StillRefused
from paymux.services.tending import OrdersOpen, TakenOver
from paymux.services.transferring import NoSuchAccount, NoSuchTransfer, NotPossible, WrongOrder
from paymux.storage.database import is_away
from paymux.storage.vault import KeyMissing, Tampered

INTERNAL = "INTERNAL"
VALIDATION = "VALIDATION"
INVALID_ID = "INVALID_ID"
MISSING_OR_INVALID_BODY = "MISSING_OR_INVALID_BODY"
CONFLICT = "CONFLICT"
NOT_FOUND = "NOT_FOUND"
NOT_IMPLEMENTED = "NOT_IMPLEMENTED"
UNAUTHENTICATED = "UNAUTHENTICATED"
FORBIDDEN = "FORBIDDEN"
TIMEOUT = "TIMEOUT"

_BAD_REQUEST, _UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND, _TOO_SLOW, _CONFLICT = 400, 401, 403, 404, 408, 409
_INTERNAL, _NOT_IMPLEMENTED, _BAD_GATEWAY, _UNAVAILABLE = 500, 501, 502, 503


class InvalidBody(ValueError):
    """The body must be a JSON object."""


class InvalidField(ValueError):
    """A field of the body is wrong."""

    def __init__(self, field: str, why: str) -> None:
        # Names come from strangers.
        field = f"{field[:SHOWN_CHARS_MAX]}…" if len(field) > SHOWN_CHARS_MAX else field
        self.fields = {field: why}
        super().__init__(f"{field}: {why}")


class InvalidQuery(ValueError):
    """A query parameter is wrong."""


class BodyTooSlow(Exception):
    """The body did not come in time (PAYMUX_BODY_TIMEOUT)."""

    # What is left of the body would be taken for the next request.
    headers: Mapping[str, str] = {"Connection": "close"}


class NoSuchThing(LookupError):
    """There is no such object."""


class NotBuilt(NotImplementedError):
    """This service does not do that."""


_CLIENT: list[tuple[type[Exception], int, str]] = [
    (NotAuthenticated, _UNAUTHENTICATED, UNAUTHENTICATED),
    (NotAllowed, _FORBIDDEN, FORBIDDEN),
    (IssuerAway, _UNAVAILABLE, INTERNAL),
    (BodyTooSlow, _TOO_SLOW, TIMEOUT),
    (InvalidBody, _BAD_REQUEST, MISSING_OR_INVALID_BODY),
    (InvalidId, _BAD_REQUEST, INVALID_ID),
    (Ambiguous, _BAD_REQUEST, INVALID_ID),
    (NameTaken, _BAD_REQUEST, CONFLICT),
    (BeingReset, _CONFLICT, CONFLICT),
    (ChangedMeanwhile, _CONFLICT, CONFLICT),
    (CannotReplay, _CONFLICT, CONFLICT),
    (StillRefused, _CONFLICT, CONFLICT),
    (NoSuchRecord, _NOT_FOUND, NOT_FOUND),
    (NotNow, _CONFLICT, CONFLICT),
    (NoSuchTask, _NOT_FOUND, NOT_FOUND),
    (NoSuchBankAccount, _NOT_FOUND, NOT_FOUND),
    (MetadataTooLarge, _BAD_REQUEST, VALIDATION),
    (CannotForward, _BAD_REQUEST, VALIDATION),
    (ForwardRefused, _BAD_REQUEST, VALIDATION),
    (BeingForwarded, _CONFLICT, CONFLICT),
    (NoSuchPool, _NOT_FOUND, NOT_FOUND),
    (NotInPool, _NOT_FOUND, NOT_FOUND),
    (PoolNameTaken, _BAD_REQUEST, CONFLICT),
    (PoolTooLarge, _BAD_REQUEST, VALIDATION),
    (NotInstalled, _NOT_FOUND, NOT_FOUND),
    (InstallationGone, _NOT_FOUND, NOT_FOUND),
    (UnknownConnector, _NOT_FOUND, NOT_FOUND),
    (NoSuchThing, _NOT_FOUND, NOT_FOUND),
    (NoSuchPayment, _NOT_FOUND, NOT_FOUND),
    (TooMuchMetadata, _BAD_REQUEST, VALIDATION),
    (NotBuilt, _NOT_IMPLEMENTED, NOT_IMPLEMENTED),
    (NoSuchTransfer, _NOT_FOUND, NOT_FOUND),
    (NoSuchAccount, _NOT_FOUND, NOT_FOUND),
    (NotPossible, _CONFLICT, CONFLICT),
    (OrdersOpen, _CONFLICT, CONFLICT),
    (WrongOrder, _BAD_REQUEST, VALIDATION),
    (InvalidQuery, _BAD_REQUEST, VALIDATION),
    (InvalidField, _BAD_REQUEST, VALIDATION),
    (BadConfig, _BAD_REQUEST, VALIDATION),
    (DomainError, _BAD_REQUEST, VALIDATION),
    (ConnectorFailed, _BAD_REQUEST, VALIDATION),
    (TaskFailed, _BAD_REQUEST, VALIDATION),
    (ConnectorError, _BAD_REQUEST, VALIDATION),
    # Neither ours nor the client's: it can try again.
    (ForwardFailed, _BAD_GATEWAY, INTERNAL),
    (ForwardUnknown, _BAD_GATEWAY, INTERNAL),
    # Ours to mend, and the operator is told how.
    (KeyMissing, _INTERNAL, INTERNAL),
    (Tampered, _INTERNAL, INTERNAL),
    (TakenOver, _UNAVAILABLE, INTERNAL),
]


def answer(status: int, code: str, message: str, details: Any = None) -> Response[dict[str, Any]]:
    """An error body."""
    body = {"errorCode": code, "errorMessage": message}
    if details is not None:
        body["details"] = details
    return Response(body, status_code=status)


def handle(request: "Request[Any, Any, Any]", error: Exception) -> Response[dict[str, Any]]:
    """Turn an exception into an answer."""
    for kind, status, code in _CLIENT:
        if isinstance(error, kind):
            refused = answer(status, code, str(error), getattr(error, "fields", None) or None)
            refused.headers.update(getattr(error, "headers", {}))
            return refused
    if isinstance(error, HTTPException) and error.status_code < _INTERNAL:
        return _refused(request, error)
    log = structlog.get_logger().bind(component="api", method=request.method, path=request.url.path)
    if is_away(error):
        log.error("The database is not available", error=str(error))
        return answer(_UNAVAILABLE, INTERNAL, "The database is not available at the moment. Try again.")
    log.error("Request failed", exc_info=error)
    return answer(_INTERNAL, INTERNAL, "Something went wrong here; the log says what.")


def _refused(request: "Request[Any, Any, Any]", error: HTTPException) -> Response[dict[str, Any]]:
    """Say in our own words what the framework refused before it came to us."""
    code, message = VALIDATION, str(error.detail)
    match error:
        case NotFoundException():
            code, message = NOT_FOUND, "There is nothing at this path."
        case MethodNotAllowedException():
            message = f"{request.method} is not possible at this path."
        case RequestEntityTooLarge():
            code = MISSING_OR_INVALID_BODY
            message = "The body is larger than this service takes (PAYMUX_MAX_BODY_BYTES)."
    refused = answer(error.status_code, code, message)
    refused.headers.update(error.headers or {})  # Allow, for one
    return refused
