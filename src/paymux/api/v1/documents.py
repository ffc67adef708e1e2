"""The interface, described: for machines and for people."""

from typing import TypeAlias

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency

from paymux.api.openapi.described import described
from paymux.api.openapi.page import POLICY


class Documents(msgspec.Struct, frozen=True):
    """The document of this service, as JSON and as a page."""

    machine: bytes
    people: bytes


Written: TypeAlias = NamedDependency[Documents]


@get("/openapi.json")
@described(answer=dict, public=True)
async def openapi(documents: Written) -> Response[bytes]:
    """Read this document: OpenAPI 3.1."""
    return Response(documents.machine, media_type="application/json")


@get("/docs")
@described(answer=str, media_type="text/html", public=True)
async def docs(documents: Written) -> Response[bytes]:
    """Read this document as a page, which loads nothing from anywhere."""
    headers = {"Content-Security-Policy": POLICY}
    return Response(documents.people, media_type="text/html", headers=headers)


HANDLERS = [openapi, docs]
