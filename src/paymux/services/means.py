"""What every verb works with."""

from collections.abc import Callable

import msgspec

from paymux.runtime.engine import Engine
from paymux.runtime.installations import Installations
from paymux.runtime.registry import Registry
from paymux.storage.database import Database


class Means(msgspec.Struct, frozen=True):
    """The parts of a running service that verbs use; ``told`` is called when events may be waiting."""

    database: Database
    registry: Registry
    at_work: Installations
    engine: Engine
    told: Callable[[], None]
