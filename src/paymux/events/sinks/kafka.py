"""Kafka: each event is a record of the topic ``payments``, keyed by its object.

What is about one object is in one partition, in order. The idempotency key is a header.
"""

import ssl
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from aiokafka.errors import MessageSizeTooLargeError  # type: ignore[import-untyped]  # it has none
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLPlaintext

from paymux.events.messages import Message, Outcome, Refusal, each_in_order
from paymux.events.sinks.brokers import ANSWER, AT_ONCE, BrokerSink
from paymux.events.types import TOPIC


class KafkaSink(BrokerSink):
    """Publishes events to the topic; ``kafkas://`` is Kafka over TLS, a user and password are SASL PLAIN."""

    port = 9092

    def __init__(self, url: str) -> None:
        super().__init__(url)
        parts = urlsplit(url)
        self._servers = f"{parts.hostname}:{parts.port or self.port}"
        tls = ssl.create_default_context() if parts.scheme == "kafkas" else None
        self._security: BaseSecurity | None = None
        if parts.username:
            self._security = SASLPlaintext(
                unquote(parts.username),
                unquote(parts.password or ""),
                ssl_context=tls,
                use_ssl=tls is not None,
            )
        elif tls:
            self._security = BaseSecurity(ssl_context=tls, use_ssl=True)

    async def _connect(self) -> None:
        self._broker = self._made()
        await self._broker.start()

    def _made(self) -> KafkaBroker:
        return KafkaBroker(
            self._servers,
            security=self._security,
            # Written by all that should, and a retry within the client writes nothing twice.
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=int(ANSWER * 1000),
            logger=None,
        )

    async def _disconnect(self) -> None:
        await self._broker.stop()

    async def _send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        return await each_in_order(messages, self._publish, AT_ONCE)

    async def _publish(self, message: Message) -> None:
        headers = {"idempotencyKey": str(message.key), "type": message.type}
        try:
            await self._broker.publish(message.body, TOPIC, key=message.object.bytes, headers=headers)
        except MessageSizeTooLargeError as error:
            raise Refusal(str(error)) from None
