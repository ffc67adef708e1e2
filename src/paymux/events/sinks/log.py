"""The sinks that need nothing: every event is a line in the log, or goes nowhere."""

from collections.abc import Sequence

import msgspec
import structlog

from paymux.events.messages import Message, Outcome
from paymux.events.types import TOPIC, Event


class LogSink:
    """Writes ``Publishing message`` with the event's key, type and payload."""

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Write one line an event."""
        log = structlog.get_logger().bind(component="publisher")
        for message in messages:
            event = msgspec.json.decode(message.body, type=Event[msgspec.Raw])
            log.info(
                "Publishing message",
                message_uuid=str(message.key),
                topic_name=TOPIC,
                type=message.type,
                payload=bytes(event.payload).decode(),
            )
        return [None] * len(messages)

    async def close(self) -> None:
        """Nothing is held."""


class NoSink:
    """Takes everything: events are read from the feed, or by nobody."""

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Do nothing with it."""
        return [None] * len(messages)

    async def close(self) -> None:
        """Nothing is held."""
