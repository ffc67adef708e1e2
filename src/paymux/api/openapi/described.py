"""What a handler says of itself beyond its signature: its body, what it answers, who may call it.

``@described(…)`` stands below ``@get`` and the like, and is left out where there is nothing to add. The path,
its parameters, those of the query, the status and an answer such as ``dict[str, Payment]`` are read from
the handler; what a field means and looks like, from ``vocabulary``.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from litestar.handlers import HTTPRouteHandler

from paymux.api.auth.callers import Access
from paymux.storage.listing import Column

Handler = TypeVar("Handler", bound=Callable[..., Any])
_READS = {"GET", "HEAD"}


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be added to a handler's signature.

    ``data`` is of ``{"data": …}``, ``page`` the rows of a list, ``answer`` a body of another shape, and
    ``media_type`` what that is. ``columns`` are those that a list can be asked by, and ``parameters`` of the
    query those that the handler reads by itself. ``errors`` are statuses beyond those that follow from the
    rest. ``access`` is READ or WRITE, by the method, unless told otherwise; ``public`` asks for none.
    """

    body: Any = None
    data: Any = None
    page: Any = None
    answer: Any = None
    media_type: str = "application/json"
    columns: Mapping[str, Column] | None = None
    parameters: tuple[str, ...] = ()
    errors: tuple[int, ...] = ()
    access: Access | None = None
    public: bool = False

    def needs(self, method: str) -> Access | None:
        """What a caller with this method must be allowed to; None for everybody."""
        if self.public:
            return None
        return self.access or (Access.READ if method in _READS else Access.WRITE)


_NOTHING = Described()


def described(**what: Any) -> Callable[[Handler], Handler]:
    """Describe a handler; the names are those of ``Described``."""
    described = Described(**what)

    def mark(handler: Handler) -> Handler:
        handler.__dict__["described"] = described
        return handler

    return mark


def of(handler: HTTPRouteHandler) -> Described:
    """What was said of a handler."""
    found: Described = getattr(handler.fn, "described", _NOTHING)
    return found
