"""Redis streams: each event is an entry of the stream ``payments``, a batch at a time, all or nothing.

An entry has one field, ``__data__``: the envelope, with its idempotency key.
"""

from collections.abc import Sequence
from typing import Any

from faststream.redis import RedisBroker
from faststream.redis.parser import MessageFormat

from paymux.events.messages import Message, Outcome
from paymux.events.sinks.brokers import ANSWER, CONNECT, BrokerSink
from paymux.events.types import TOPIC


class _Plain(MessageFormat):
    """The body as it is: whoever reads the stream need not know who wrote it."""

    @classmethod
    async def encode(cls, *, message: Any, **_: Any) -> bytes:
        return bytes(message)

    @classmethod
    def parse(cls, data: bytes) -> tuple[bytes, dict[str, Any]]:
        return data, {}


class RedisSink(BrokerSink):
    """Appends events to the stream."""

    port = 6379

    async def _connect(self) -> None:
        self._broker = RedisBroker(
            self._url,
            socket_connect_timeout=CONNECT,
            socket_timeout=ANSWER,
            message_format=_Plain,
            logger=None,  # type: ignore[arg-type]  # as all other brokers take it
        )
        self._client = await self._broker.connect()
        await self._client.ping()

    async def _disconnect(self) -> None:
        await self._broker.stop()

    async def _send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        # In one transaction: of a batch that fails in its middle, nothing is there.
        async with self._client.pipeline(transaction=True) as pipeline:
            for message in messages:
                await self._broker.publish(message.body, stream=TOPIC, pipeline=pipeline)
            await pipeline.execute()
        return [None] * len(messages)
