"""Whether the service is well, and which one it is."""

import msgspec
from litestar import Response, get

from paymux.api.errors import INTERNAL, answer
from paymux.api.openapi.described import described
from paymux.api.requests import Injected


class Status(msgspec.Struct):
    """That all is well."""

    status: str


class Info(msgspec.Struct):
    """Which service this is."""

    version: str


@get(["/_health", "/_healthcheck"])
@described(answer=Status, public=True)
async def health(parts: Injected) -> Response[dict[str, str]]:
    """200 while the database answers."""
    try:
        await parts.database.fetchval("SELECT 1")
    except Exception:  # noqa: BLE001 - whatever it is, we are not well
        return answer(503, INTERNAL, "The database does not answer.")
    return Response({"status": "ok"})


@get("/_live")
@described(answer=Status, public=True)
async def live() -> dict[str, str]:
    """200 while the process answers."""
    return {"status": "ok"}


@get("/_info")
@described(answer=Info, public=True)
async def info(parts: Injected) -> dict[str, str]:
    """The version."""
    return {"version": parts.version}


HANDLERS = [health, live, info]
