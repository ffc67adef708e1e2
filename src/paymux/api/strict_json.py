"""JSON in the strictest sense: what may be understood in two ways, or cannot be stored, is refused.

UTF-8, no NaN or Infinity, no name twice in an object, no text that no database holds, no depth that
nobody means. Integers keep every digit. No message shows a value: it may be a secret.
"""

import json
from collections import Counter
from collections.abc import Iterable
from math import isfinite
from typing import Any

from paymux.domain.errors import shown

# Levels. Far beyond what anybody writes, and far from where Python itself gives up.
DEPTH_MAX = 64
_TOO_DEEP = f"is nested more than {DEPTH_MAX} levels deep."


class NotStrict(ValueError):
    """It is no JSON, or none that means one thing; the message says why, and of which field."""

    def __init__(self, why: str, field: str = "") -> None:
        self.why, self.field = why, field
        super().__init__(f"{shown(field)} {why}" if field else f"It {why}")


def strict_json(body: bytes | str) -> Any:
    """Read JSON that means one thing.

    Raises:
        NotStrict: it is none.
    """
    try:
        text = body if isinstance(body, str) else body.decode()
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
    except NotStrict:
        raise
    except UnicodeDecodeError:
        raise NotStrict("is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise NotStrict(f"is no JSON: {error}.") from None
    except RecursionError:
        raise NotStrict(_TOO_DEEP) from None
    except ValueError:  # Python reads no integer of more than 4,300 digits: it takes time by their square
        raise NotStrict("holds a number of more digits than any amount has.") from None
    if isinstance(found, dict):
        _check("", found)
        for name, value in found.items():
            _check(name, [value])
    else:
        _check("", [found])
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise NotStrict(f"has {shown(twice)} twice in one object.")
    return found


def _constant(name: str) -> Any:
    raise NotStrict(f"holds {name}, which is no number.")


def _float(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise NotStrict("holds a number that is out of range.")
    return value


def _check(field: str, level: Iterable[Any]) -> None:
    """Level by level and not by recursion: the depth is the sender's."""
    for _ in range(DEPTH_MAX):
        inner: list[Any] = []
        for value in level:
            match value:
                case str():
                    _check_text(field, value)
                case list():
                    inner += value
                case dict():
                    inner += value
                    inner += value.values()
        if not inner:
            return
        level = inner
    raise NotStrict(_TOO_DEEP)


def _check_text(field: str, text: str) -> None:
    if "\0" in text:
        raise NotStrict("holds a NUL character, which no database text can.", field)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise NotStrict("holds half of a surrogate pair, which is no text.", field) from None
