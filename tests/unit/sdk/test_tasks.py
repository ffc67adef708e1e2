"""``@task``: naming a task is not running it, and what was named is found again."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.domain.errors import DomainError
from paymux.sdk import Connector, ConnectorConfig, Descriptor, Task, TaskContext, UnknownTask, task
from paymux.sdk.tasks import TIMEOUT, Resolved, resolve_task


class Window(msgspec.Struct):
    """Something to pass."""

    start: datetime
    size: int = 1


class Acme(Connector[ConnectorConfig]):
    name = "acme"

    @task
    async def scan(self, ctx: TaskContext) -> None:
        """Look around."""

    @task
    async def read(self, ctx: TaskContext, file: str, limit: int = 10) -> None:
        """Read one file."""

    @task(timeout=timedelta(seconds=5))
    def plain(
        self, ctx: TaskContext, window: Window, *, tags: set[str], share: Decimal = Decimal("0.5")
    ) -> None:
        """Take everything an argument can be."""

    async def no_task(self, ctx: TaskContext) -> None:
        """Nothing that runs."""

    @task
    async def count(self, ctx: TaskContext, *, n: bool | int = 0) -> None:
        """Count."""


ACME = Acme(ConnectorConfig())


def test_naming_a_task_runs_nothing() -> None:
    """It gives the descriptor, canonical JSON: the name alone, or the name and the arguments by name."""
    assert ACME.scan() == Descriptor('"scan"')
    assert ACME.read("a.json") == Descriptor('{"read":{"file":"a.json"}}')
    assert ACME.read(file="a.json", limit=3) == Descriptor('{"read":{"file":"a.json","limit":3}}')


def test_an_argument_that_equals_its_default_is_no_part_of_the_name() -> None:
    """A task that gains an argument with a default stays the same task, with its state."""
    assert ACME.read("a.json", 10) == ACME.read("a.json")
    assert ACME.count(n=0) == ACME.count()
    assert ACME.count(n=False) != ACME.count()


@pytest.mark.parametrize("arguments", [(), ("a", 1, 2)])
def test_arguments_that_do_not_fit_are_refused_where_they_are_written(arguments: tuple[Any, ...]) -> None:
    """As a call of the method would be."""
    with pytest.raises(TypeError):
        ACME.read(*arguments)


def test_an_argument_that_is_no_json_is_refused() -> None:
    """A name that could not be stored is an error now, not at midnight."""
    with pytest.raises(TypeError):
        ACME.read(object())  # type: ignore[arg-type]
    with pytest.raises(DomainError):
        ACME.read("\ud800")


@given(st.text(), st.integers(-(2**63), 2**63))
def test_what_was_named_is_found_again(file: str, limit: int) -> None:
    """Name to descriptor to name and arguments, whatever the arguments."""
    try:
        named = ACME.read(file, limit)
    except DomainError:
        return
    found = resolve_task(ACME, msgspec.json.decode(named.text))

    assert ACME.read(**found.arguments) == named
    assert found.arguments["file"] == file


def test_arguments_come_back_as_they_are_annotated() -> None:
    """Structs, times, sets and decimals survive the JSON between; a set names one task in any order."""
    window = Window(datetime(2026, 1, 2, tzinfo=UTC), 3)
    named = ACME.plain(window, tags={"b", "a"}, share=Decimal("0.10"))
    found = resolve_task(ACME, msgspec.json.decode(named.text))

    assert found.arguments == {"window": window, "tags": {"a", "b"}, "share": Decimal("0.10")}
    assert named == ACME.plain(window, tags={"a", "b"}, share=Decimal("0.10"))
    assert found.timeout == timedelta(seconds=5)
    assert not found.is_async


def test_what_is_found_is_ready_to_run() -> None:
    """With the connector, and the time it may take."""
    found = ACME.resolve("scan")

    assert isinstance(found, Resolved)
    assert found.connector is ACME
    assert found.is_async
    assert found.timeout == TIMEOUT


@pytest.mark.parametrize("descriptor", [
    "nothing", "no_task", "name", "config", "__init__", "", 1, None, [], {}, {"read": {}},
    {"read": {"file": 1}},
    {"read": {"file": "a", "more": 1}}, {"read": "a"}, {"read": {"file": "a"}, "scan": {}},
    {"scan": {"ctx": 1}},
])  # fmt: skip
def test_what_names_no_task_is_said_to(descriptor: Any) -> None:
    """A descriptor may come from an older version, or from a person."""
    with pytest.raises(UnknownTask):
        resolve_task(ACME, descriptor)


def test_a_task_is_named_as_the_class_names_it() -> None:
    """Not as the function was called before it was put there."""

    async def body(self: Any, ctx: TaskContext) -> None:
        """Do nothing."""

    class Other(Connector[ConnectorConfig]):
        name = "other"
        renamed = Task(body)

    other = Other(ConnectorConfig())
    assert other.renamed() == Descriptor('"renamed"')
    assert resolve_task(other, "renamed").body is body
    assert Other.renamed.__doc__ == "Do nothing."


def test_a_subclass_may_replace_a_task() -> None:
    """The descriptor stays, the body is the new one."""

    class Better(Acme):
        @task
        async def scan(self, ctx: TaskContext) -> None:
            """Look around better."""

    better = Better(ConnectorConfig())
    assert better.scan() == ACME.scan()
    assert resolve_task(better, "scan").body is Better.scan.body


def test_a_task_whose_arguments_cannot_be_named_is_refused_at_import() -> None:
    """*args, **kwargs and positional-only arguments have no place in a descriptor."""

    async def rest(self: Any, ctx: TaskContext, *files: str) -> None: ...
    async def keywords(self: Any, ctx: TaskContext, **files: str) -> None: ...
    async def by_place(self: Any, ctx: TaskContext, file: str, /) -> None: ...
    async def nothing(self: Any) -> None: ...

    bodies: list[Any] = [rest, keywords, by_place, nothing]
    for body in bodies:
        with pytest.raises(TypeError, match=r"must take \(self, ctx, …\)"):
            task(body)
