"""Connectors are found, and one that is broken stops nobody."""

from collections.abc import Callable
from typing import Any

import pytest

from paymux.runtime.registry import Registry, UnknownConnector
from paymux.sdk import Connector, ConnectorConfig


class Acme(Connector[ConnectorConfig]):
    name = "acme"


class Zebra(Connector[ConnectorConfig]):
    name = "zebra"


class SameName(Connector[ConnectorConfig]):
    name = "acme"


class Nameless(Connector[ConnectorConfig]):
    pass


def fail() -> Any:
    raise ImportError("no module named 'acme_sdk'")


def leave() -> Any:
    raise SystemExit(1)


def test_the_built_in_ones_are_there() -> None:
    """Found by walking the folder; none of them is broken."""
    registry = Registry()

    assert "EXAMPLE" in [found.provider() for found in registry]
    assert not [where for where in registry.broken if where.startswith("paymux.connectors")]


def test_a_connector_is_found_in_any_case() -> None:
    """URLs spell it in lower or upper case."""
    registry = Registry.of([Zebra, Acme])

    assert registry.get("acme") is registry.get("ACME") is registry.get("Acme") is Acme
    assert list(registry) == [Acme, Zebra]


def test_an_unknown_one_is_said_to_be() -> None:
    """With where to look; however long the name is."""
    with pytest.raises(UnknownConnector, match="GET /connectors/configs") as refused:
        Registry.of([Acme]).get("x" * 10_000)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (fail, "no module named 'acme_sdk'"),
        (leave, "SystemExit"),
        (lambda: SameName, "the name 'acme' is taken by"),
        (lambda: Nameless, "name"),
        (lambda: dict, "not a connector's class"),
        (lambda: Acme(ConnectorConfig()), "not a connector's class"),
    ],
)
def test_one_that_cannot_be_loaded_is_reported_and_stops_nobody(load: Callable[[], Any], why: str) -> None:
    """The others are there, and the report says where and why."""
    registry = Registry([("first", lambda: Acme), ("second", load), ("third", lambda: Zebra)])

    assert list(registry) == [Acme, Zebra]
    assert list(registry.broken) == ["second"]
    assert why in registry.broken["second"]


def test_the_same_class_twice_is_one() -> None:
    """A package may be found on two ways."""
    registry = Registry.of([Acme, Acme])

    assert list(registry) == [Acme]
    assert not registry.broken
