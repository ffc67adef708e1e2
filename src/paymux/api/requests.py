"""What handlers share: the parts of the service they call, and how a body is read."""

from typing import Any

import msgspec
from litestar import Request

from paymux.api.errors import BodyTooLarge, InvalidBody
from paymux.api.paging import Cursors
from paymux.runtime.registry import Registry
from paymux.services.installing import Installing
from paymux.storage.database import Database


class Parts(msgspec.Struct, frozen=True):
    """The running service, as the interface sees it."""

    database: Database
    registry: Registry
    installing: Installing
    cursors: Cursors
    version: str
    max_body_bytes: int


async def json_object(request: "Request[Any, Any, Any]", parts: Parts) -> dict[str, Any] | None:
    """The body as an object, however it was sent; None for no body.

    Raises:
        InvalidBody, BodyTooLarge: as they say.
    """
    chunks = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > parts.max_body_bytes:
            raise BodyTooLarge(BodyTooLarge.__doc__)
        chunks.append(chunk)
    body = b"".join(chunks)
    if not body.strip():
        return None
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidBody(f"{InvalidBody.__doc__} {error}") from None
