"""RabbitMQ: each event is a persistent, confirmed message to the durable topic exchange ``payments``.

Its routing key is its type and its message id the idempotency key. A durable queue ``payments`` gets all of
them; others are bound by whoever wants some.
"""

from collections.abc import Sequence

from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue

from paymux.events.messages import Message, Outcome, each_in_order
from paymux.events.sinks.brokers import ANSWER, AT_ONCE, CONNECT, BrokerSink
from paymux.events.types import APP, TOPIC

_EXCHANGE = RabbitExchange(TOPIC, type=ExchangeType.TOPIC, durable=True)
_QUEUE = RabbitQueue(TOPIC, durable=True)


class RabbitSink(BrokerSink):
    """Publishes events to the exchange."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.port = 5671 if url.startswith("amqps:") else 5672

    async def _connect(self) -> None:
        self._broker = RabbitBroker(
            self._url,
            timeout=CONNECT,
            # A message that no queue takes is an error, not lost.
            default_channel=Channel(on_return_raises=True, publisher_confirms=True),
            logger=None,
        )
        await self._broker.connect()
        exchange = await self._broker.declare_exchange(_EXCHANGE)
        queue = await self._broker.declare_queue(_QUEUE)
        await queue.bind(exchange, "#")

    async def _disconnect(self) -> None:
        await self._broker.stop()

    async def _send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        return await each_in_order(messages, self._publish, AT_ONCE)

    async def _publish(self, message: Message) -> None:
        await self._broker.publish(
            message.body,
            exchange=_EXCHANGE,
            routing_key=message.type,
            mandatory=True,
            persist=True,
            message_id=str(message.key),
            message_type=message.type,
            content_type="application/json",
            headers={"object": str(message.object), "app": APP},
            timeout=ANSWER,
        )
