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


class UnknownTask(LookupError):
    """The descriptor names no task of this connector."""


class Task(Generic[C, P]):
    """A method marked with ``@task``. ``async def`` runs on the loop, plain ``def`` in a thread."""

    def __init__(self, body: Body[C, P], timeout: timedelta = TIMEOUT) -> None:
        self.body = body
        self.timeout = timeout
        self.name = getattr(body, "__name__", "task")
        self.__doc__ = body.__doc__

    @cached_property
    def signature(self) -> inspect.Signature:
        """The arguments that make up the descriptor: all but self and the context."""
        whole = inspect.signature(self.body)
        return whole.replace(parameters=list(whole.parameters.values())[2:])

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
        """Name this task with these arguments. Raises TypeError when they do not fit."""
        arguments = self.signature.bind(*args, **kwargs).arguments
        return Descriptor.of({self.name: msgspec.to_builtins(arguments)} if arguments else self.name)

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

    task: Task[Any, Any]
    connector: Any
    arguments: dict[str, Any]

    @property
    def is_async(self) -> bool:
        """Whether it runs on the loop rather than in a thread."""
        return inspect.iscoroutinefunction(self.task.body)

    def __call__(self, ctx: TaskContext) -> Awaitable[None] | None:
        """Start the task's body."""
        return self.task.body(self.connector, ctx, **self.arguments)


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
        return Resolved(found, connector, found.arguments(given))
    except (TypeError, msgspec.ValidationError) as error:
        raise UnknownTask(f"The arguments of task {name!r} do not fit it: {error}.") from error
