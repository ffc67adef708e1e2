"""What the fields of a config say about themselves: how they are shown, what they take, how long."""

import inspect
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from pathlib import PurePath
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from paymux.domain.duration import format_duration

# Longer than any name, address or key that providers hand out; a field that takes a certificate
# says so with LongText, LongSecret or a max_length of its own.
TEXT_CHARS_MAX = 4_096


def template(config_class: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Describe each field as the interface does.

    Returns:
        ``{"directory": {"dataType": "string", "required": True, "defaultValue": ""}}``; a section's
        fields are named ``section.field``, and a secret's default is never shown.
    """
    return dict(_entries(config_class, "", required=True))


def shown_name(name: str, field: FieldInfo) -> str:
    """Return the field's name as operators see it: ``pollingPeriod``."""
    return field.serialization_alias or field.alias or name


def shown_names(model: type[BaseModel]) -> list[str]:
    """Return the names of all fields as operators see them."""
    return [shown_name(name, field) for name, field in model.model_fields.items()]


def spellings(model: type[BaseModel]) -> dict[str, str]:
    """Map both spellings of each field to its name in Python."""
    names = list(model.model_fields)
    return dict(zip(names, names, strict=True)) | dict(zip(shown_names(model), names, strict=True))


def kinds(annotation: object) -> set[type]:
    """Return the classes that an annotation allows, unions taken apart, containers as a whole."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return set().union(*map(kinds, get_args(annotation)))
    kind = origin or annotation
    return {kind} if inspect.isclass(kind) else set()


def section(annotation: object) -> type[BaseModel] | None:
    """Return the section that an annotation mentions, also within a list."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(section, get_args(annotation))), None)


def chars_max(field: FieldInfo) -> int:
    """Return how many characters the field's text may have."""
    limits = (getattr(constraint, "max_length", None) for constraint in field.metadata)
    return next((limit for limit in limits if limit is not None), TEXT_CHARS_MAX)


def _entries(model: type[BaseModel], prefix: str, *, required: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in model.model_fields.items():
        path = prefix + shown_name(name, field)
        needed = required and field.is_required()
        inner = next((kind for kind in kinds(field.annotation) if issubclass(kind, BaseModel)), None)
        if inner:
            yield from _entries(inner, f"{path}.", required=needed)
        else:
            yield (
                path,
                {
                    "dataType": _data_type(field),
                    "required": needed,
                    "defaultValue": _text(field.default),
                },
            )


def _data_type(field: FieldInfo) -> str:
    allowed = kinds(field.annotation)
    if timedelta in allowed:
        return "duration ns"  # the interface's word for it; what is read and shown is "10s"
    if bool in allowed:
        return "boolean"
    if int in allowed:
        return "unsigned integer"
    return "long string" if chars_max(field) > TEXT_CHARS_MAX else "string"


def _text(default: object) -> str:
    match default:
        case bool():
            return str(default).lower()
        case timedelta():
            return format_duration(default)
        case Enum():
            return str(default.value)
        case str() | int() | float() | PurePath():
            return str(default)
        case _:  # none at all, a secret, or what has no short text
            return ""
