"""What an operator fills in to install a connector, declared once by its author.

::

    class Config(ConnectorConfig):
        directory: Path
        every: timedelta = timedelta(seconds=10)
        api_key: Secret

Defaults, validation, the template people fill in, and what must never be shown follow from it.
Fields are shown in camel case (``apiKey``); both spellings are accepted.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import PurePath
from typing import Annotated, Any, NamedTuple, TypeVar, cast

import pydantic
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, to_jsonable_python

from paymux.domain.duration import format_duration, parse_duration
from paymux.domain.mask import MASKED
from paymux.sdk.complaints import complaints
from paymux.sdk.errors import BadConfig
from paymux.sdk.fields import chars_max, kinds, spellings, template

__all__ = [
    "ConfigSection",
    "ConnectorConfig",
    "Duration",
    "LongSecret",
    "LongText",
    "Secret",
    "load",
    "masked",
    "revealed",
    "secrets_of",
    "template",
    "update",
]

# A certificate chain with its key.
LONG_TEXT_CHARS_MAX = 65_536
NAME_CHARS_MAX = 255

Secret = pydantic.SecretStr
LongText = Annotated[str, pydantic.Field(max_length=LONG_TEXT_CHARS_MAX)]
LongSecret = Annotated[Secret, pydantic.Field(max_length=LONG_TEXT_CHARS_MAX)]

C = TypeVar("C", bound="ConnectorConfig")

# Neither files, databases nor UTF-8 can hold them.
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


def _read_duration(value: object) -> object:
    match value:
        case timedelta():
            return value
        case str() if value.lstrip("+-").startswith("P"):  # ISO 8601, which pydantic reads itself
            return value
        case str():
            text = value
        case {"duration": int(nanoseconds), **others} if not others and not isinstance(nanoseconds, bool):
            text = f"{nanoseconds}ns"
        case _:
            text = ""
    try:
        return parse_duration(text)
    except ValueError:
        # Not the reason itself: it quotes the text, and somebody may have pasted a secret here.
        raise PydanticCustomError(
            "duration", 'must be a duration such as "10s" or "1h30m"; a bare number has no unit'
        ) from None


# Plain ``timedelta`` means the same in a config; this name is for everywhere else.
Duration = Annotated[
    timedelta,
    pydantic.BeforeValidator(_read_duration),
    pydantic.PlainSerializer(format_duration, return_type=str),
    pydantic.WithJsonSchema({"type": "string", "examples": ["10s", "1h30m"]}),
]
_DURATION = cast("dict[str, Any]", pydantic.TypeAdapter(Duration).core_schema)


def _with_durations(schema: Any) -> Any:
    """Give every plain ``timedelta`` in a core schema, however deep, the behaviour of ``Duration``."""
    if isinstance(schema, list):
        return [_with_durations(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "timedelta":
        return {**_DURATION, "schema": schema}
    return {key: _with_durations(part) for key, part in schema.items()}


class ConfigSection(pydantic.BaseModel):
    """A group of fields within a config, under the same rules as the config."""

    model_config = pydantic.ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[pydantic.BaseModel], handler: pydantic.GetCoreSchemaHandler
    ) -> CoreSchema:
        return cast("CoreSchema", _with_durations(handler(source)))

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _check_text(cls, value: object, info: pydantic.ValidationInfo) -> object:
        """Refuse blanks where something is required: ``Path("")`` would be the working directory."""
        text = value.get_secret_value() if isinstance(value, pydantic.SecretStr) else value
        rule = _text_rule(cls, info.field_name or "")
        if rule is None or not isinstance(text, str):
            return value
        if rule.filled and not text.strip():
            raise PydanticCustomError("blank", "must not be empty")
        if len(text) > rule.chars_max:
            raise PydanticCustomError(
                "too_long", "must have at most {max} characters", {"max": rule.chars_max}
            )
        if _NOT_TEXT.search(text):
            raise PydanticCustomError("not_text", "must not contain NUL or half a surrogate pair")
        return value


class ConnectorConfig(ConfigSection):
    """What one installation of a connector was given; subclass it with the connector's own fields."""

    # The installation's name; the framework fills it in when the operator does not.
    name: str = pydantic.Field("", max_length=NAME_CHARS_MAX)


def load(config_class: type[C], raw: Mapping[str, Any] | None) -> C:
    """Make a config of what an operator gave, JSON-like; None is nothing given.

    Raises:
        BadConfig: ``fields`` names each field that is wrong; no input is quoted, it may be secret.
    """
    try:
        config = config_class.model_validate({} if raw is None else raw)
    except pydantic.ValidationError as error:
        raise BadConfig(fields=complaints(config_class, error)) from None
    except Exception as error:  # noqa: BLE001 - the connector's own validators may raise anything
        # Not what it says: it may quote a secret.
        raise BadConfig(f"The connector's check of its config raised {type(error).__name__}.") from None
    # A config that was shown and sent back: storing the mask would lose the secret without a word.
    still_masked = [path for path, secret in _secrets(_plain(config)) if secret == MASKED]
    if still_masked:
        raise BadConfig(fields=dict.fromkeys(still_masked, "give the secret itself, not its mask"))
    return config


def update(old: C, raw: Mapping[str, Any] | None) -> C:
    """Load a whole new config in which a secret given as ``********`` stays what it was.

    That holds for fields, also within sections, but not within lists, whose items may have moved.

    Raises:
        BadConfig: As for ``load``.
    """
    return load(type(old), _unmasked(old, raw))


def masked(config: ConnectorConfig) -> dict[str, Any]:
    """Return the config as JSON values to show: each secret is ``********``, or empty when it is."""
    return _json(config, lambda secret: MASKED if secret else "")


def revealed(config: ConnectorConfig) -> dict[str, Any]:
    """Return the config as JSON values with its secrets in clear, to be encrypted and nothing else."""
    return _json(config, lambda secret: secret)


def secrets_of(config: ConnectorConfig) -> frozenset[str]:
    """Return the value of every secret in the config, for a ``Mask``."""
    return frozenset(secret for _, secret in _secrets(_plain(config)) if secret)


class _TextRule(NamedTuple):
    filled: bool
    chars_max: int


@lru_cache(1024)
def _text_rule(model: type[pydantic.BaseModel], name: str) -> _TextRule | None:
    """What holds for the text of this field; None when it is no text. Remembered: runs load configs."""
    field = model.model_fields[name]
    allowed = kinds(field.annotation)
    if not any(issubclass(kind, str | PurePath | pydantic.SecretStr) for kind in allowed):
        return None
    is_path = any(issubclass(kind, PurePath) for kind in allowed)
    return _TextRule(filled=is_path or field.is_required(), chars_max=chars_max(field))


def _plain(config: ConnectorConfig) -> dict[str, Any]:
    return config.model_dump(by_alias=True, round_trip=True)


def _json(config: ConnectorConfig, show: Callable[[Any], Any]) -> dict[str, Any]:
    def shown(value: object) -> object:
        match value:
            case pydantic.SecretStr() | pydantic.SecretBytes() | pydantic.Secret():
                return show(value.get_secret_value())
            case Mapping():
                return {key: shown(part) for key, part in value.items()}
            case list() | tuple() | set() | frozenset():
                return [shown(part) for part in value]
        return value

    return cast("dict[str, Any]", to_jsonable_python(shown(_plain(config)), fallback=str))


def _secrets(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each secret within a plain value."""
    match value:
        case pydantic.SecretStr() | pydantic.SecretBytes() | pydantic.Secret():
            secret = value.get_secret_value()
            yield path, secret.decode(errors="replace") if isinstance(secret, bytes) else str(secret)
        case Mapping():
            for key, part in value.items():
                yield from _secrets(part, f"{path}.{key}" if path else str(key))
        case list() | tuple() | set() | frozenset():
            for index, part in enumerate(value):
                yield from _secrets(part, f"{path}.{index}")


def _unmasked(old: object, raw: Any) -> Any:
    """Put the old secrets where ``raw`` holds their mask."""
    if isinstance(raw, Mapping) and isinstance(old, pydantic.BaseModel):
        names = spellings(type(old))
        return {
            key: _unmasked(getattr(old, names[key]), part) if key in names else part
            for key, part in raw.items()
        }
    if isinstance(raw, Mapping) and isinstance(old, Mapping):
        return {key: _unmasked(old.get(key), part) for key, part in raw.items()}
    is_secret = isinstance(old, pydantic.SecretStr | pydantic.SecretBytes | pydantic.Secret)
    return old if is_secret and raw == MASKED else raw
