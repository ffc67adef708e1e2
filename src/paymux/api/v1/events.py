"""Events: the schemas of what is told."""

from typing import Any

from litestar import Response, get

from paymux.api.errors import NoSuchThing
from paymux.api.openapi.described import described
from paymux.api.requests import PathText
from paymux.events.schemas import schema, schemas
from paymux.events.types import EventType

_SCHEMA = "application/schema+json"


@get("/events/schemas", sync_to_thread=False)
def all_schemas() -> dict[str, Any]:
    """The JSON Schema of every type of event, by type."""
    return {"data": schemas()}


@get("/events/schemas/{event_type:str}", sync_to_thread=False)
@described(answer=dict[str, Any], media_type=_SCHEMA)
def one_schema(event_type: PathText) -> Response[dict[str, Any]]:
    """The JSON Schema of one type, as it is: tools can be pointed at this address."""
    try:
        kind = EventType(event_type)
    except ValueError:
        raise NoSuchThing(f"There is no such type of event; there are {', '.join(EventType)}.") from None
    return Response(schema(kind), media_type=_SCHEMA)


HANDLERS = [all_schemas, one_schema]
