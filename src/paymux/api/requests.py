"""What handlers share: the parts of the service they call, and how a body is read."""

from collections.abc import Callable
from enum import EnumMeta
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from litestar import Request
from litestar.di import NamedDependency
from litestar.exceptions import InternalServerException
from litestar.params import FromPath, QueryParameter

from paymux.api.errors import InvalidBody, InvalidField
from paymux.api.paging import Cursors
from paymux.api.strict_json import NotStrict, strict_json
from paymux.domain.errors import DomainError
from paymux.observe.instruments import Instruments
from paymux.runtime.engine import Engine
from paymux.runtime.registry import Registry
from paymux.services.banking import Banking
from paymux.services.checkup import Checkup
from paymux.services.configuring import Configuring
from paymux.services.forwarding import Forwarding
from paymux.services.installing import Installing
from paymux.services.operating import Operating
from paymux.services.pooling import Pooling
from paymux.services.recording import Recording
from paymux.services.replaying import Replaying
from paymux.services.transferring import Transferring
from paymux.storage.database import Database

T = TypeVar("T")
S = TypeVar("S")


class Parts(msgspec.Struct, frozen=True):
    """The running service, as the interface sees it."""

    database: Database
    registry: Registry
    installing: Installing
    configuring: Configuring
    replaying: Replaying
    pooling: Pooling
    recording: Recording
    banking: Banking
    forwarding: Forwarding
    operating: Operating
    transferring: Transferring
    checkup: Checkup
    cursors: Cursors
    instruments: Instruments
    engine: Engine
    version: str
    max_body_bytes: int


# How a handler asks for it, and for what stands in its path.
Injected: TypeAlias = NamedDependency[Parts]
PathText: TypeAlias = FromPath[str]
# Of one installation alone.
OfConnector = Annotated[str | None, QueryParameter(name="connectorID")]


async def decoded(request: "Request[Any, Any, Any]", shape: type[T]) -> T:
    """The body as ``shape``: a Struct, or a dict of text by text.

    Fields are held to their types exactly: a float is no integer, text is no number. Names that a Struct
    does not have are refused where it says ``forbid_unknown_fields``, as those of bodies do: what is sent
    under a misspelt name must not get lost.

    Raises:
        InvalidBody: there is none, or it is no JSON object.
        InvalidField: a field is missing, unknown, or not of its type; it is named.
        RequestEntityTooLarge: the body is larger than this service takes.
    """
    found = await json_object(request)
    if found is None:
        raise InvalidBody(f"{InvalidBody.__doc__} There is none.")
    try:
        return msgspec.convert(found, shape)
    except msgspec.ValidationError as error:
        raise _named(str(error), shape) from None


def read(field: str, how: Callable[[S], T], value: S) -> T:
    """A field's value as the domain has it.

    Raises:
        InvalidField: it breaks a rule of the domain; the field is named.
    """
    try:
        return how(value)
    except DomainError as error:
        raise InvalidField(field, str(error)) from None


async def json_object(request: "Request[Any, Any, Any]") -> dict[str, Any] | None:
    """The body as an object, whatever its Content-Type says; None for no body.

    Raises:
        InvalidBody: it is something else, or ended early.
        RequestEntityTooLarge: it is larger than this service takes.
    """
    try:
        body = await request.body()
    except InternalServerException:  # which says that the client has gone away: nobody's failure here
        raise InvalidBody(f"{InvalidBody.__doc__} It ended before it was whole.") from None
    if not body.strip():
        return None
    try:
        found = strict_json(body)
    except NotStrict as error:
        if error.field:
            raise InvalidField(error.field, error.why) from None
        raise InvalidBody(f"{InvalidBody.__doc__} {error}") from None
    if not isinstance(found, dict):
        raise InvalidBody(InvalidBody.__doc__)
    return found


def _named(message: str, shape: Any) -> InvalidField:
    """What msgspec says about a value, as a field and what is wrong with it."""
    what, _, place = message.partition(" - at `$")
    path = place.rstrip("`").lstrip(".")
    match what.split("`"):
        case ["Object missing required field ", field, ""]:
            return InvalidField(f"{path}.{field}".lstrip("."), "is missing")
        case ["Object contains unknown field ", *rest]:
            known = ", ".join(field.encode_name for field in msgspec.structs.fields(shape))
            why = "is not known here" if path else f"is not known here; there are {known}"
            return InvalidField(f"{path}.{'`'.join(rest[:-1])}".lstrip("."), why)
    if what.startswith("Invalid enum value") and (words := _words(shape, path)):
        return InvalidField(path, f"is none of {', '.join(words)}")
    return InvalidField(path or "body", f"{what[:1].lower()}{what[1:]}")


def _words(shape: Any, path: str) -> list[str]:
    """What a field may be, where that is one of a few words."""
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(shape)}
    kind: Any = kinds.get(path)
    words: list[Any] = list(kind) if isinstance(kind, EnumMeta) else []
    return [str(word) for word in words]
