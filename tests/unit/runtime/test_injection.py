"""A resolved function is given what its parameters are annotated with."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest

from paymux.runtime.injection import CannotInject, bound, runs_on_loop
from paymux.sdk import (
    Connector,
    ConnectorConfig,
    ConnectorContext,
    ConnectorID,
    Ingester,
    Logger,
    Scheduler,
    StateReader,
    TaskContext,
    TaskID,
    task,
)

CTX: Any = SimpleNamespace(log=object(), connector_id=ConnectorID("ACME", uuid4()), task_id=uuid4())


def given_to(body: Callable[..., Any]) -> Any:
    """What a function returns when it is called as a task."""
    made = bound(body)(CTX)
    return asyncio.run(_awaited(made)) if asyncio.iscoroutine(made) else made


async def _awaited(made: Awaitable[Any]) -> Any:
    return await made


def everything(  # noqa: PLR0917 - it is about asking for everything
    context: TaskContext, connector: ConnectorContext, scheduler: Scheduler, ingester: Ingester,
    state: StateReader,
    log: Logger, connector_id: ConnectorID, task_id: TaskID, uuid: UUID,
) -> tuple[Any, ...]:  # fmt: skip
    return context, connector, scheduler, ingester, state, log, connector_id, task_id, uuid


def test_everything_that_can_be_asked_for() -> None:
    """The context in its roles, the log, and the ids."""
    got = given_to(everything)

    assert got[:5] == (CTX,) * 5
    assert got[5:] == (CTX.log, CTX.connector_id, CTX.task_id, CTX.task_id)
    assert isinstance(got[7], TaskID)


class Callme:
    """An object that is called."""

    ctx: bytes  # An attribute, not the parameter.

    def __call__(self, ctx: TaskContext, task_id: TaskID) -> tuple[Any, ...]:
        return ctx, task_id

    async def later(self, ctx: TaskContext, task_id: TaskID) -> tuple[Any, ...]:
        return ctx, task_id

    @staticmethod
    def static(ctx: TaskContext, task_id: TaskID) -> tuple[Any, ...]:
        return ctx, task_id


class CallmeLater:
    """An object that is called and awaited."""

    async def __call__(self, ctx: TaskContext, task_id: TaskID) -> tuple[Any, ...]:
        return ctx, task_id


def with_more(more: str, ctx: TaskContext, task_id: TaskID) -> tuple[Any, ...]:
    assert more == "more"
    return ctx, task_id


async def with_more_later(ctx: TaskContext, *, task_id: TaskID, more: str) -> tuple[Any, ...]:
    assert more == "more"
    return ctx, task_id


def by_place(ctx: TaskContext, /, task_id: TaskID, *rest: bytes, **others: bytes) -> tuple[Any, ...]:
    assert not rest
    assert not others
    return ctx, task_id


def with_default(ctx: TaskContext, task_id: TaskID, limit: bytes = b"kept") -> tuple[Any, ...]:
    assert limit == b"kept"
    return ctx, task_id


def annotated(ctx: "Annotated[TaskContext, 'the context']", task_id: "TaskID") -> tuple[Any, ...]:
    return ctx, task_id


def closure() -> Callable[..., Any]:
    kept = "kept"

    async def inner(ctx: TaskContext, task_id: TaskID) -> tuple[Any, ...]:
        assert kept
        return ctx, task_id

    return inner


def wrapped() -> Callable[..., Any]:
    @functools.wraps(annotated)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return annotated(*args, **kwargs)

    return inner


BODIES: dict[str, tuple[Callable[..., Any], bool]] = {
    "closure": (closure(), True),
    "method": (Callme().later, True),
    "static method": (Callme.static, False),
    "object": (Callme(), False),
    "async object": (CallmeLater(), True),
    "partial": (functools.partial(with_more, "more"), False),
    "partial of partial": (functools.partial(functools.partial(with_more_later), more="more"), True),
    "partial of an object": (functools.partial(CallmeLater()), True),
    "positional-only": (by_place, False),
    "default": (with_default, False),
    "text": (annotated, False),
    "wrapped": (wrapped(), False),
}


@pytest.mark.parametrize(("body", "on_loop"), BODIES.values(), ids=BODIES)
def test_every_kind_of_callable_is_understood(body: Callable[..., Any], on_loop: bool) -> None:  # noqa: FBT001 - an example's answer
    """What is ``async`` runs on the loop; what is not, in a thread."""
    assert given_to(body) == (CTX, CTX.task_id)
    assert runs_on_loop(body) is on_loop


def test_a_task_method_needs_no_injection() -> None:
    """It takes its context first, and its arguments from the descriptor."""

    class Acme(Connector[ConnectorConfig]):
        name = "acme"

        @task
        async def read(self, ctx: TaskContext, file: str) -> None:
            assert (ctx, file) == (CTX, "a.json")

        @task
        def plain(self, ctx: TaskContext) -> None:
            assert ctx is CTX

    acme = Acme(ConnectorConfig())
    read, plain = acme.resolve({"read": {"file": "a.json"}}), acme.resolve("plain")
    given_to(read)
    given_to(plain)

    assert runs_on_loop(read)
    assert not runs_on_loop(plain)


def unknown(socket: bytes) -> None: ...
def bare(ctx) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001 - it is about that
def several(ctx: TaskContext | Scheduler) -> None: ...
def unhashable(ctx: Annotated[list[Any], []]) -> None: ...
def unresolved(ctx: "NoSuchThing") -> None: ...  # type: ignore[name-defined]  # noqa: F821 - it is about that


@pytest.mark.parametrize("body", [unknown, bare, several, unhashable, lambda ctx: ctx])
def test_what_nobody_has_is_refused_with_the_list(body: Callable[..., Any]) -> None:
    """The parameter, what was asked, and what can be asked for."""
    with pytest.raises(CannotInject) as refused:
        bound(body)

    name = "socket" if body is unknown else "ctx"
    asked = (
        "ConnectorContext, ConnectorID, Ingester, Logger, Scheduler, StateReader, TaskContext, TaskID, UUID"
    )
    assert f"Parameter {name!r} is" in str(refused.value)
    assert asked in str(refused.value)


@pytest.mark.parametrize("body", [unresolved, None, 7, "scan"])
def test_what_cannot_be_read_or_called_is_refused(body: Any) -> None:
    """An annotation that names nothing, or no function at all."""
    with pytest.raises(CannotInject):
        bound(body)
