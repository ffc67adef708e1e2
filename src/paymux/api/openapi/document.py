"""The OpenAPI 3.1 document of handlers, read from their signatures and what they say of themselves."""

import inspect
import re
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from paymux.api.auth.callers import Access
from paymux.api.lists import NDJSON
from paymux.api.openapi import schemas
from paymux.api.openapi.asking import filter_example, filter_schema, filter_text, sort_parameter
from paymux.api.openapi.described import Described, of
from paymux.api.openapi.refusals import REFUSALS, responses
from paymux.api.openapi.vocabulary import NUMBERS, PARAMETERS
from paymux.domain.filter import Kind

_JSON = "application/json"
_PLACE = re.compile(r"\{(\w+)(?::\w+)?\}")
_OF_LISTS = ("pageSize", "cursor")
_NO_CONTENT = 204
_BAD_REQUEST, _UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND, _TOO_SLOW, _TOO_LARGE = 400, 401, 403, 404, 408, 413
_ANY = (500, 503, 504)
_ABOUT = """\
Every route is there twice, at `/…` and at `/api/payments/…`. Bodies are JSON, whatever their `Content-Type`
says. Amounts are integers of any size, in minor units; times are RFC 3339 in UTC. Every answer has an
`X-Request-Id`, which is on every line of the log about the request."""


def document(handlers: Sequence[HTTPRouteHandler], version: str) -> dict[str, Any]:
    """Describe these handlers."""
    found: dict[str, dict[str, Any]] = {}
    known = schemas.Schemas([wanted for handler in handlers for wanted in _types(handler)])
    for handler in handlers:
        for path in sorted(handler.paths):
            shown = _PLACE.sub(lambda place: f"{{{_word(place[1])}}}", path)
            for method in sorted(handler.http_methods):
                found.setdefault(shown, {})[method.lower()] = _operation(handler, path, method, known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "paymux",
            "version": version,
            "summary": "Payment providers and banks, and one record of money.",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}, {"url": "/api/payments", "description": "The same"}],
        "tags": [{"name": name} for name in dict.fromkeys(map(_tag, handlers))],
        "paths": dict(sorted(found.items())),
        "components": {
            "schemas": known.components(),
            "responses": responses(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token or a JWT, where this service asks for one. Scopes: "
                    + ", ".join(f"`{access}`" for access in Access),
                }
            },
        },
    }


def _types(handler: HTTPRouteHandler) -> Iterator[Any]:
    said = of(handler)
    yield from (
        wanted for wanted in (said.body, said.page, said.answer, _data(handler)) if wanted is not None
    )


def _data(handler: HTTPRouteHandler) -> Any:
    """The type of ``data``, where that is what a handler answers."""
    said = of(handler)
    if said.data is not None or said.page is not None or said.answer is not None:
        return said.data
    returned = typing.get_type_hints(handler.fn, include_extras=True).get("return")
    return typing.get_args(returned)[1] if typing.get_origin(returned) is dict else None


def _operation(handler: HTTPRouteHandler, path: str, method: str, known: schemas.Schemas) -> dict[str, Any]:
    said = of(handler)
    summary, _, rest = inspect.cleandoc(handler.fn.__doc__ or "").partition("\n\n")
    parameters = [*_places(path), *_asked(handler, said)]
    body = _body(said, known)
    refused = _refused(path, said, asks=bool(parameters), takes=body is not None)
    access = said.needs(method)
    return {
        "operationId": operation_id(handler, path),
        "tags": [_tag(handler)],
        "summary": " ".join(summary.split()),
        **({"description": " ".join(rest.split())} if rest and "Raises:" not in rest else {}),
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": body} if body else {}),
        "responses": {
            str(handler.status_code): _answer(handler, said, known),
            **{
                str(status): {"$ref": f"#/components/responses/{REFUSALS[status].name}"} for status in refused
            },
        },
        # Without one as well: whether anybody is asked is up to whoever runs the service.
        "security": [] if access is None else [{"token": [access]}, {}],
    }


def operation_id(handler: HTTPRouteHandler, path: str) -> str:
    """What the document calls a route, and so do clients that are made of it."""
    words = [*handler.fn.__module__.rpartition(".")[2].split("_"), *handler.fn.__name__.split("_")]
    if len(handler.paths) > 1:
        words += [word for word in re.split(r"\W|_", path) if word]
    return words[0] + "".join(word.capitalize() for word in words[1:])


def _tag(handler: HTTPRouteHandler) -> str:
    return handler.fn.__module__.rpartition(".")[2].replace("_", " ").capitalize()


def _word(name: str) -> str:
    """A place in a path as clients know it: ``connector_id`` is connectorID, and ``payment`` paymentID."""
    first, *others = name.removesuffix("_id").split("_")
    shown = first + "".join(other.capitalize() for other in others)
    return f"{shown}ID" if name.endswith("_id") or f"{shown}ID" in PARAMETERS else shown


def _places(path: str) -> Iterator[dict[str, Any]]:
    for name in _PLACE.findall(path):
        yield {**_parameter(_word(name)), "in": "path", "required": True}


def _asked(handler: HTTPRouteHandler, said: Described) -> Iterator[dict[str, Any]]:
    """The parameters of the query."""
    names = list(said.parameters)
    for annotation in typing.get_type_hints(handler.fn, include_extras=True).values():
        marks = getattr(annotation, "__metadata__", ())
        names += [mark.name for mark in marks if isinstance(mark, QueryParameter) and mark.name]
    if said.columns:
        yield {
            "name": "query",
            "in": "query",
            "description": filter_text(said.columns),
            "content": {
                _JSON: {
                    "schema": {"$ref": _filter_of(said)},
                    "example": filter_example(said.columns),
                }
            },
        }
        yield sort_parameter(said.columns)
        names += _OF_LISTS
    yield from ({**_parameter(name), "in": "query"} for name in dict.fromkeys(names))


def _parameter(name: str) -> dict[str, Any]:
    word = PARAMETERS.get(name)
    schema: dict[str, Any] = {"type": "integer", "minimum": 1} if name in NUMBERS else {"type": "string"}
    if word is None:
        return {"name": name, "schema": schema}
    if word.format:
        schema["format"] = word.format
    shown = {} if word.example == "" else {"example": word.example}
    return {"name": name, "description": word.meaning, "schema": schema, **shown}


def _filter_of(said: Described) -> str:
    return f"#/components/schemas/{said.page.__name__}Filter"


def _body(said: Described, known: schemas.Schemas) -> dict[str, Any] | None:
    if said.columns:
        known.add(f"{said.page.__name__}Filter", filter_schema(said.columns, _filter_of(said)))
        content = {"schema": {"$ref": _filter_of(said)}, "example": filter_example(said.columns)}
        return {"required": False, "description": "The same as `query`.", "content": {_JSON: content}}
    if said.body is None:
        return None
    schema = known.of(said.body)
    return {"required": True, "content": {_JSON: {"schema": schema, "example": known.example(schema)}}}


def _answer(handler: HTTPRouteHandler, said: Described, known: schemas.Schemas) -> dict[str, Any]:
    if said.page is not None:
        row = known.of(said.page)
        schema = schemas.page(row)
        content = {_JSON: {"schema": schema, "example": known.example(schema)}}
        if said.columns and any(column.kind is not Kind.KEY for column in said.columns.values()):
            content[NDJSON] = {"schema": {"type": "string", "description": "All rows, each a line."}}
        return {"description": "A page.", "content": content}
    data = _data(handler)
    if data is not None:
        schema = {"type": "object", "required": ["data"], "properties": {"data": known.of(data)}}
    elif said.answer is not None:
        schema = known.of(said.answer)
    else:
        return {"description": "Done." if handler.status_code == _NO_CONTENT else "As it says."}
    content = {said.media_type: {"schema": schema}}
    if said.media_type == _JSON:
        content[_JSON]["example"] = known.example(schema)
    return {"description": "As asked.", "content": content}


def _refused(path: str, said: Described, *, asks: bool, takes: bool) -> list[int]:
    """The statuses of errors."""
    found = {*said.errors, *_ANY}
    if asks or takes:
        found.add(_BAD_REQUEST)
    if "{" in path:
        found.add(_NOT_FOUND)
    if takes:
        found |= {_TOO_SLOW, _TOO_LARGE}
    if not said.public:
        found |= {_UNAUTHENTICATED, _FORBIDDEN}
    return sorted(found)


def encoded(described: dict[str, Any]) -> bytes:
    """As it is sent."""
    return msgspec.json.encode(described)
