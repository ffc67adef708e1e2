"""The sink that needs nothing: every event is a line in the log."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import structlog

from paymux.events.types import TOPIC, Event


class Sink(Protocol):
    """Takes events in order. When it raises, the batch is offered again; so it may see one twice."""

    async def publish(self, events: Sequence[Event[Any]]) -> None:
        """Take a batch, oldest first."""


class LogSink:
    """Writes ``Publishing message`` with the event's key, type and payload."""

    async def publish(self, events: Sequence[Event[Any]]) -> None:
        """Write one line an event."""
        log = structlog.get_logger().bind(component="publisher")
        for event in events:
            log.info(
                "Publishing message",
                message_uuid=str(event.idempotency_key),
                topic_name=TOPIC,
                type=event.type,
                payload=msgspec.json.encode(event.payload).decode(),
            )
