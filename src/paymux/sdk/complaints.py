"""Complaints about a config: from pydantic's errors to one sentence a field that quotes no input."""

import re
from collections.abc import Iterator, Mapping

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from paymux.domain.errors import DomainError
from paymux.domain.mask import Mask
from paymux.sdk.fields import section, shown_name, shown_names, spellings

# As many as anybody reads at once; a body may hold thousands of unknown keys.
COMPLAINTS_MAX = 20

# What a key must look like to be repeated in a message: it may be a mispasted secret, or a novel.
_KEY = re.compile(r"[\w.-]{1,64}", re.ASCII)


def complaints(model: type[BaseModel], error: ValidationError) -> dict[str, str]:
    """Map the path of each field that is wrong, as operators see it, to what is wrong.

    What the whole config got wrong stands under ``config``.
    """
    details = error.errors(include_url=False)
    found: dict[str, str] = {}
    for detail in details[:COMPLAINTS_MAX]:
        path, allowed = _place(model, detail["loc"])
        found.setdefault(path, _sentence(detail, allowed))
    if len(details) > COMPLAINTS_MAX:
        found["config"] = f"and {len(details) - COMPLAINTS_MAX} more"
    return found


def _place(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, list[str]]:
    """Return the path, and when it ends in a field that does not exist, those that do."""
    within: type[BaseModel] | None = model
    parts: list[str] = []
    allowed: list[str] = []
    for part in map(str, location):
        name = spellings(within).get(part) if within else None
        if within and name:
            field = within.model_fields[name]
            parts.append(shown_name(name, field))
            within, allowed = section(field.annotation), []
        else:
            parts.append(part if _KEY.fullmatch(part) else "(unreadable)")
            allowed = shown_names(within) if within else []
    return ".".join(parts) or "config", allowed


def _sentence(detail: ErrorDetails, allowed: list[str]) -> str:
    match detail["type"]:
        case "missing":
            return "field required"
        case "extra_forbidden":
            return f"unknown field; allowed are {', '.join(allowed)}" if allowed else "given twice"
        case "path_type":
            text = "must be a path, as text, such as /tmp/payments"
        case "value_error" | "assertion_error":
            reason = detail["ctx"]["error"]
            # A broken rule of the domain quotes what it got, shortened: no mask would recognise that.
            text = (
                (reason.__doc__ or "").partition("\n")[0] if isinstance(reason, DomainError) else str(reason)
            )
        case _:
            text = detail["msg"].replace("Input should be", "must be")
    # The author's own checks may quote what they were given.
    return Mask(_texts(detail["input"]))(text)


def _texts(value: object) -> Iterator[str]:
    match value:
        case Mapping():
            yield from (text for part in value.values() for text in _texts(part))
        case list() | tuple():
            yield from (text for part in value for text in _texts(part))
        case SecretStr():
            yield value.get_secret_value()
        case _:
            yield str(value)
