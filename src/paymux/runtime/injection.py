"""Gives a resolved function what its parameters are annotated with."""

import inspect
import types
from collections.abc import Awaitable, Callable
from typing import Any, get_type_hints
from uuid import UUID

from paymux.sdk import (
    ConnectorContext,
    ConnectorID,
    Ingester,
    Logger,
    Scheduler,
    StateReader,
    TaskContext,
    TaskID,
)
from paymux.sdk.tasks import Resolved

Body = Callable[..., Awaitable[None] | None]

_ASKED: dict[Any, Callable[[TaskContext], Any]] = {
    TaskContext: lambda ctx: ctx,
    ConnectorContext: lambda ctx: ctx,
    Scheduler: lambda ctx: ctx,
    Ingester: lambda ctx: ctx,
    StateReader: lambda ctx: ctx,
    Logger: lambda ctx: ctx.log,
    ConnectorID: lambda ctx: ctx.connector_id,
    TaskID: lambda ctx: ctx.task_id,
    UUID: lambda ctx: ctx.task_id,
}


class CannotInject(TypeError):
    """A task's function asks for something nobody can give it."""


def bound(body: Body) -> Callable[[TaskContext], Awaitable[None] | None]:
    """Return a function of the context alone.

    Raises:
        CannotInject: a parameter without an annotation, or with one that is not on the list.
    """
    if isinstance(body, Resolved):
        return body
    givers = [(name, _giver(name, annotation)) for name, annotation in _parameters(body)]
    return lambda ctx: body(**{name: give(ctx) for name, give in givers})


def runs_on_loop(body: Body) -> bool:
    """Whether it is ``async def``; a plain function belongs in a thread."""
    if isinstance(body, Resolved):
        return body.is_async
    while hasattr(body, "func"):
        body = body.func
    return inspect.iscoroutinefunction(body) or inspect.iscoroutinefunction(getattr(body, "__call__", None))  # noqa: B004 - looks at it, not for it


def _parameters(body: Body) -> list[tuple[str, Any]]:
    plain = body if isinstance(body, types.FunctionType | types.MethodType) else getattr(body, "func", body)
    hints = get_type_hints(plain)
    return [
        (name, hints.get(name))
        for name, parameter in inspect.signature(body).parameters.items()
        if parameter.default is parameter.empty
    ]


def _giver(name: str, annotation: Any) -> Callable[[TaskContext], Any]:
    try:
        return _ASKED[annotation]
    except (KeyError, TypeError):
        asked = ", ".join(sorted(kind.__name__ for kind in _ASKED))
        raise CannotInject(
            f"Parameter {name!r} is annotated {annotation!r}; what can be asked for is {asked}."
        ) from None
