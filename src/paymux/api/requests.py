"""What handlers share: the parts of the service they call, and how a body is read."""

from typing import Any, TypeAlias

import msgspec
from litestar import Request
from litestar.di import NamedDependency
from litestar.exceptions import InternalServerException
from litestar.params import FromPath

from paymux.api.errors import InvalidBody
from paymux.api.paging import Cursors
from paymux.observe.instruments import Instruments
from paymux.runtime.engine import Engine
from paymux.runtime.registry import Registry
from paymux.services.checkup import Checkup
from paymux.services.configuring import Configuring
from paymux.services.installing import Installing
from paymux.services.operating import Operating
from paymux.services.replaying import Replaying
from paymux.storage.database import Database


class Parts(msgspec.Struct, frozen=True):
    """The running service, as the interface sees it."""

    database: Database
    registry: Registry
    installing: Installing
    configuring: Configuring
    replaying: Replaying
    operating: Operating
    checkup: Checkup
    cursors: Cursors
    instruments: Instruments
    engine: Engine
    version: str
    max_body_bytes: int


# How a handler asks for it, and for what stands in its path.
Injected: TypeAlias = NamedDependency[Parts]
PathText: TypeAlias = FromPath[str]


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
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidBody(f"{InvalidBody.__doc__} {error}") from None
