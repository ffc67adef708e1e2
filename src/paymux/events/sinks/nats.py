"""NATS JetStream: each event is a message on the subject ``payments``, kept by a stream.

The idempotency key is its ``Nats-Msg-Id``: told again soon, the stream keeps one.
"""

from collections.abc import Sequence

from faststream.nats import NatsBroker
from nats.errors import MaxPayloadError
from nats.js.errors import NotFoundError

from paymux.events.messages import Message, Outcome, Refusal, each_in_order
from paymux.events.sinks.brokers import ANSWER, AT_ONCE, CONNECT, BrokerSink
from paymux.events.types import TOPIC


class NatsSink(BrokerSink):
    """Tells events to the stream that keeps the subject; there is one called ``payments`` if none did."""

    port = 4222
    _stream = ""

    async def _connect(self) -> None:
        # No reconnecting behind our back: what was under way then would be sent out of order.
        self._broker = NatsBroker(self._url, allow_reconnect=False, connect_timeout=int(CONNECT), logger=None)
        streams = (await self._broker.connect()).jetstream(timeout=ANSWER)
        try:
            self._stream = await streams.find_stream_name_by_subject(TOPIC)
        except NotFoundError:
            await streams.add_stream(name=TOPIC, subjects=[TOPIC])
            self._stream = TOPIC

    async def _disconnect(self) -> None:
        await self._broker.stop()

    async def _send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        return await each_in_order(messages, self._publish, AT_ONCE)

    async def _publish(self, message: Message) -> None:
        headers = {"Nats-Msg-Id": str(message.key), "type": message.type, "object": str(message.object)}
        try:
            await self._broker.publish(
                message.body, TOPIC, headers=headers, stream=self._stream, timeout=ANSWER
            )
        except MaxPayloadError:
            raise Refusal(f"{len(message.body)} bytes are more than the server's max_payload") from None
