"""Finds connectors: the built-in folders, and whatever is installed under the entry-point group.

Adding a connector is adding a folder or a package; nothing here or anywhere else is edited. One that
cannot be loaded is reported and stops nobody.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from typing import Any

from paymux.sdk import Connector

GROUP = "paymux.connectors"
_BUILT_IN = "paymux.connectors"

# Where a connector is said to be, and what loads it from there.
Source = tuple[str, Callable[[], Any]]


class UnknownConnector(LookupError):
    """There is no such connector. See GET /connectors/configs for those there are."""

    def __init__(self, name: str = "") -> None:
        super().__init__(f"There is no connector {name!r}. GET /connectors/configs lists those there are.")


class Registry:
    """Connector classes by provider (``EXAMPLE``)."""

    def __init__(self, sources: Iterable[Source] | None = None) -> None:
        self._classes: dict[str, type[Connector[Any]]] = {}
        # What could not be loaded: where it is, and why.
        self.broken: dict[str, str] = {}
        for where, load in (*_built_in(), *_installed()) if sources is None else sources:
            try:
                found = load()
                if not (inspect.isclass(found) and issubclass(found, Connector)):
                    self.broken[where] = f"{found!r} is not a connector's class"
                    continue
                known = self._classes.setdefault(found.provider(), found)
                if known is not found:
                    self.broken[where] = f"the name {found.name!r} is taken by {known.__module__}"
            except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's code, which may raise anything
                self.broken[where] = f"{type(error).__name__}: {error}"

    @classmethod
    def of(cls, classes: Iterable[type[Connector[Any]]]) -> "Registry":
        """Make one of these classes alone."""
        return cls((found.__qualname__, partial(_itself, found)) for found in classes)

    def __iter__(self) -> Iterator[type[Connector[Any]]]:
        return iter(sorted(self._classes.values(), key=lambda found: found.name))

    def has(self, provider: str) -> bool:
        """Whether this provider's connector is present."""
        return provider.upper() in self._classes

    def get(self, provider: str) -> type[Connector[Any]]:
        """The connector of a provider, in any case. Raises UnknownConnector."""
        try:
            return self._classes[provider.upper()]
        except KeyError:
            raise UnknownConnector(provider[:50]) from None


def _itself(found: type[Connector[Any]]) -> type[Connector[Any]]:
    return found


def _built_in() -> Iterator[Source]:
    for module in iter_modules(import_module(_BUILT_IN).__path__):
        path = f"{_BUILT_IN}.{module.name}"
        yield path, partial(_only_connector, path)


def _installed() -> Iterator[Source]:
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
