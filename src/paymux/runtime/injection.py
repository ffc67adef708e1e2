"""Gives a resolved function what its parameters are annotated with."""

import functools
import inspect
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
    TaskID: lambda ctx: TaskID(int=ctx.task_id.int),
    UUID: lambda ctx: ctx.task_id,
}
_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class CannotInject(TypeError):
    """A task's function asks for something nobody can give it."""


def bound(body: Body) -> Callable[[TaskContext], Awaitable[None] | None]:
    """Return a function of the context alone; a parameter with a default keeps it.

    Raises:
        CannotInject: a parameter without an annotation, or with one that is not on the list.
    """
    if isinstance(body, Resolved):
        return body
    if not callable(body):
        raise CannotInject(f"A task resolves to something that can be called, not to {body!r}.")
    parameters, hints = _signature(body)
    by_place, by_name = [], []
    for name, parameter in parameters.items():
        if parameter.kind in _REST or parameter.default is not parameter.empty:
            continue
        giver = _giver(name, hints.get(name))
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            by_place.append(giver)
        else:
            by_name.append((name, giver))
    return lambda ctx: body(*[give(ctx) for give in by_place], **{name: give(ctx) for name, give in by_name})


def runs_on_loop(body: Body) -> bool:
    """Whether it is ``async def``; a plain function belongs in a thread."""
    if isinstance(body, Resolved):
        return body.is_async
    whole = _whole(body)
    return inspect.iscoroutinefunction(whole) or inspect.iscoroutinefunction(type(whole).__call__)


def name_of(body: Body) -> str:
    """What metrics call the task: the name of its function, of which there are as many as code has."""
    whole = body.body if isinstance(body, Resolved) else _whole(body)
    return str(getattr(whole, "__name__", type(whole).__name__))


def _whole(body: Any) -> Any:
    while isinstance(body, functools.partial):
        body = body.func
    return body


def _signature(body: Body) -> tuple[dict[str, inspect.Parameter], dict[str, Any]]:
    whole = _whole(body)
    annotated = whole if inspect.isroutine(whole) else type(whole).__call__
    try:
        return dict(inspect.signature(body).parameters), get_type_hints(annotated)
    except (NameError, TypeError, ValueError) as error:
        raise CannotInject(f"The parameters of {body!r} cannot be read: {error}.") from error


def _giver(name: str, annotation: Any) -> Callable[[TaskContext], Any]:
    try:
        return _ASKED[annotation]
    except (KeyError, TypeError):
        asked = ", ".join(sorted(kind.__name__ for kind in _ASKED))
        shown = "not annotated" if annotation is None else f"annotated {annotation!r}"
        raise CannotInject(f"Parameter {name!r} is {shown}; what can be asked for is {asked}.") from None
