"""``@task``: a connector's method that runs as a task, and the descriptor that names it.

``self.read("a.json")`` does not run anything: it gives the descriptor, ``{"read":{"file":"a.json"}}``
(or just ``"scan"`` for a task without arguments), with the arguments checked by the type checker
where it is written and converted by their annotations when it runs.
"""

import inspect
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import cached_property
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, get_type_hints, overload

import msgspec

from paymux.domain.task import Descriptor
from paymux.sdk.contexts import TaskContext

P = ParamSpec("P")
C = TypeVar("C", bound="Any")

# Long enough for a big page from a slow provider, short enough that a hung call is noticed.
TIMEOUT = timedelta(minutes=15)

Body = Callable[Concatenate[C, TaskContext, P], Awaitable[None] | None]

_NAMEABLE = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class UnknownTask(LookupError):
    """The descriptor names no task of this connector."""


class Task(Generic[C, P]):
    """A method marked with ``@task``. ``async def`` runs on the loop, plain ``def`` in a thread.

    Raises:
        TypeError: it does not take ``(self, ctx, …)`` with every argument nameable.
    """

    def __init__(self, body: Body[C, P], timeout: timedelta = TIMEOUT) -> None:
        self.body = body
        self.timeout = timeout
        self.name = getattr(body, "__name__", "task")
        self.__doc__ = body.__doc__
        whole = inspect.signature(body)
        given = list(whole.parameters.values())
        if len(given) < 2 or any(one.kind not in _NAMEABLE for one in given[2:]):  # noqa: PLR2004 - self and ctx
            raise TypeError(f"Task {self.name!r} must take (self, ctx, …) and no *args, **kwargs or '/'.")
        # The arguments that make up the descriptor: all but self and the context.
        self.signature = whole.replace(parameters=given[2:])

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @cached_property
    def types(self) -> dict[str, Any]:
        """Annotation of each argument."""
        return get_type_hints(self.body)

    @overload
    def __get__(self, connector: None, owner: type) -> "Task[C, P]": ...

    @overload
    def __get__(self, connector: C, owner: type) -> Callable[P, Descriptor]: ...

    def __get__(self, connector: C | None, owner: type) -> "Task[C, P] | Callable[P, Descriptor]":
        return self if connector is None else self.descriptor

    def descriptor(self, *args: P.args, **kwargs: P.kwargs) -> Descriptor:
        """Name this task with these arguments. Raises TypeError when they do not fit.

        An argument that equals its default is left out: a task that gains one stays the same task.
        """
        defaults = self.signature.parameters
        given = self.signature.bind(*args, **kwargs).arguments
        arguments = {name: value for name, value in given.items() if not _same(value, defaults[name].default)}
        if not arguments:
            return Descriptor.of(self.name)
        return Descriptor.of({self.name: msgspec.to_builtins(arguments, order="deterministic")})

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """Turn a descriptor's JSON back into arguments."""
        bound = self.signature.bind(**given).arguments
        return {name: msgspec.convert(value, self.types.get(name, Any)) for name, value in bound.items()}


@overload
def task(body: Body[C, P], /) -> Task[C, P]: ...


@overload
def task(*, timeout: timedelta) -> Callable[[Body[C, P]], Task[C, P]]: ...


def task(
    body: Body[C, P] | None = None, /, *, timeout: timedelta = TIMEOUT
) -> Task[C, P] | Callable[[Body[C, P]], Task[C, P]]:
    """Mark a method as a task; ``timeout`` bounds one run of it (15 minutes unless told)."""
    if body is not None:
        return Task(body, timeout)
    return lambda body: Task(body, timeout)


class Resolved(msgspec.Struct, frozen=True):
    """A task with its arguments, ready to run."""

    body: Callable[..., Awaitable[None] | None]
    timeout: timedelta
    connector: object
    arguments: dict[str, Any]

    @property
    def is_async(self) -> bool:
        """Whether it runs on the loop rather than in a thread."""
        return inspect.iscoroutinefunction(self.body)

    def __call__(self, ctx: TaskContext) -> Awaitable[None] | None:
        """Start the task's body."""
        return self.body(self.connector, ctx, **self.arguments)


def resolve_task(connector: object, descriptor: object) -> Resolved:
    """Find what a descriptor names among the connector's ``@task`` methods.

    Raises:
        UnknownTask: no such method, or arguments that do not fit it.
    """
    match descriptor:
        case str(name):
            given: dict[str, Any] = {}
        case dict() if len(descriptor) == 1 and isinstance(next(iter(descriptor.values())), dict):
            ((name, given),) = descriptor.items()
        case _:
            raise UnknownTask(f"{descriptor!r} is not the descriptor of a task.")
    found = inspect.getattr_static(type(connector), name, None)
    if not isinstance(found, Task):
        raise UnknownTask(f"{type(connector).__name__} has no task {name!r}.")
    try:
        return Resolved(found.body, found.timeout, connector, found.arguments(given))
    except (TypeError, msgspec.ValidationError) as error:
        raise UnknownTask(f"The arguments of task {name!r} do not fit it: {error}.") from error


def _same(value: Any, default: Any) -> bool:
    # By type as well: True equals 1, and a different value is a different task.
    return type(value) is type(default) and bool(value == default)
