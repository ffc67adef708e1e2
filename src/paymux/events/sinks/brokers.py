"""What the sinks on message brokers share: a connection, made when it is needed and dropped when it fails.

The topic, stream or exchange is ``payments``; every message is the envelope as JSON and carries its
idempotency key.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from urllib.parse import urlsplit

from paymux.events.messages import Message, Outcome, Refusal

# Seconds until a broker that has not answered counts as one that does not.
CONNECT, ANSWER = 10.0, 10.0
# Messages under way at a time: as many as a batch has, or each would wait for the one before.
AT_ONCE = 1000


class ExtraMissing(Exception):
    """A sink needs a package that is not installed."""

    def __init__(self, sink: str, extra: str) -> None:
        """Name the sink, and the extra that brings what it needs."""
        super().__init__(f"The sink {sink} needs a package that is missing: pip install 'paymux[{extra}]'")


class NotConnected(Exception):
    """The broker does not answer."""


class BrokerSink(ABC):
    """Tells events to a broker."""

    # Where one listens when its URL does not say.
    port: int

    def __init__(self, url: str) -> None:
        self._url = url
        self._connected = False

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Offer a batch; after any failure the next one begins with a new connection."""
        try:
            if not self._connected:
                await self._connect_soon()
            outcomes = await self._send(messages)
        except BaseException:
            await self.close()
            raise
        if any(its is not None and not isinstance(its, Refusal) for its in outcomes):
            await self.close()
        return outcomes

    async def _connect_soon(self) -> None:
        try:
            async with asyncio.timeout(CONNECT):
                # First whether anybody is there: some clients would try until the time is up, others leave
                # behind what could not be connected.
                parts = urlsplit(self._url)
                _, nobody = await asyncio.open_connection(parts.hostname, parts.port or self.port)
                nobody.close()
                await self._connect()
        except TimeoutError:
            raise NotConnected(f"no connection within {CONNECT:g} s") from None
        self._connected = True

    async def close(self) -> None:
        """Let go of the connection."""
        self._connected = False
        try:
            async with asyncio.timeout(ANSWER):
                await self._disconnect()
        except Exception:  # noqa: BLE001, S110 - it is of no more use, and may say so in many ways
            pass

    @abstractmethod
    async def _connect(self) -> None:
        """Make a connection, and whatever the broker needs to keep what it is told."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Close it, also when it was never made."""

    @abstractmethod
    async def _send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Tell a batch; see ``Sink.publish``."""
