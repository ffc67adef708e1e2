"""Finds connectors: the built-in folders, and whatever is installed under the entry-point group.

Adding a connector is adding a folder or a package; nothing here or anywhere else is edited. One that
cannot be loaded is reported and stops nobody.
"""

import inspect
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from typing import Any

from paymux.sdk import Connector

GROUP = "paymux.connectors"
_BUILT_IN = "paymux.connectors"


class UnknownConnector(LookupError):
    """There is no such connector. See GET /connectors/configs for those there are."""

    def __init__(self, name: str = "") -> None:
        super().__init__(f"There is no connector {name!r}. GET /connectors/configs lists those there are.")


class Registry:
    """Connector classes by provider (``EXAMPLE``)."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Connector[Any]]] = {}
        # What could not be loaded: where it is, and why.
        self.broken: dict[str, str] = {}
        for where, load in (*_built_in(), *_installed()):
            try:
                found = load()
                known = self._classes.setdefault(found.provider(), found)
                if known is not found:
                    self.broken[where] = f"the name {found.name!r} is taken by {known.__module__}"
            except Exception as error:  # noqa: BLE001 - somebody else's code, which may raise anything
                self.broken[where] = f"{type(error).__name__}: {error}"

    def __iter__(self) -> Iterator[type[Connector[Any]]]:
        return iter(sorted(self._classes.values(), key=lambda found: found.name))

    def get(self, provider: str) -> type[Connector[Any]]:
        """The connector of a provider, in any case. Raises UnknownConnector."""
        try:
            return self._classes[provider.upper()]
        except KeyError:
            raise UnknownConnector(provider[:50]) from None


def _built_in() -> Iterator[tuple[str, Any]]:
    for module in iter_modules(import_module(_BUILT_IN).__path__):
        path = f"{_BUILT_IN}.{module.name}"
        yield path, lambda path=path: _only_connector(path)


def _installed() -> Iterator[tuple[str, Any]]:
    for point in entry_points(group=GROUP):
        yield f"{point.name} ({point.value})", point.load


def _only_connector(path: str) -> type[Connector[Any]]:
    found = [
        value
        for value in vars(import_module(path)).values()
        if inspect.isclass(value) and issubclass(value, Connector) and "name" in value.__dict__
    ]
    if len(found) != 1:
        raise TypeError(f"its __init__.py must name one connector, it names {len(found)}")
    return found[0]
