"""Pages of the documentation, read by somebody who does what they say and compares what they show."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

PATIENCE = 20.0


def eventually(problem: Callable[[], str | None]) -> None:
    """Wait until there is no problem any more, which is said otherwise."""
    until = time.monotonic() + PATIENCE
    while (found := problem()) is not None:
        if time.monotonic() > until:
            pytest.fail(found)
        time.sleep(0.1)


def like(shown: str, real: str) -> bool:
    """Whether a text is somewhere in another; ``…`` stands for anything."""
    return re.search(".*".join(map(re.escape, shown.split("…"))), real) is not None


def compare(shown: Any, real: Any, at: str = "$") -> str | None:
    """What differs first; objects may hold more than is shown, lists may not."""
    match shown, real:
        case dict(), dict():
            pairs = [(f"{at}.{key}", value, real.get(key)) for key, value in shown.items()]
        case list(), list() if len(shown) == len(real):
            pairs = [(f"{at}[{i}]", *pair) for i, pair in enumerate(zip(shown, real, strict=True))]
        case str(), str() if "…" in shown and like(shown, real):
            return None
        case _:
            return None if shown == real else f"{at}: the page shows {shown!r}, the answer was {real!r}"
    return next(filter(None, (compare(*pair[1:], pair[0]) for pair in pairs)), None)
