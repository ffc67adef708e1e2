"""An HTTP client with nothing in it: one kept-alive connection, a request made once and sent many times.

It costs some 20 µs a request, so what it measures is the server. ``cost`` says how much it was.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import cast
from urllib.parse import urlsplit

import msgspec

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_OK = b"HTTP/1.1 200"


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._received = bytearray()
        self._body = self._end = 0

    @classmethod
    async def open(cls, url: str) -> "Connection":
        """Connect to the host and port of the URL."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: cls(parts.netloc), parts.hostname, parts.port
        )
        return connection

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    async def get(self, path: str) -> bytes:
        """Return the body of a 200.

        Raises:
            ConnectionError: the answer was another one, or none.
        """
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = cast("asyncio.Transport", transport)  # the fast loop's is none by its class

    def data_received(self, data: bytes) -> None:
        """Wait for the head, then for as much as it announces."""
        self._received += data
        if not self._end:
            self._body = self._received.find(b"\r\n\r\n") + 4
            if self._body < 4:
                return
            length = _LENGTH.search(self._received, 0, self._body)
            self._end = self._body + (int(length[1]) if length else 0)
        if len(self._received) >= self._end and self._answer is not None:
            answer, body = bytes(self._received), self._body
            self._received.clear()
            self._end = 0
            if answer.startswith(_OK):
                self._answer.set_result(answer[body:])
            else:
                self._answer.set_exception(ConnectionError(answer[:500].decode(errors="replace")))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(str(exc or "the server hung up")))


class Latencies(msgspec.Struct):
    """How long each of many calls took, in seconds, and how long all of them together."""

    each: list[float] = []
    elapsed: float = 0.0

    @property
    def rate(self) -> float:
        """Calls a second."""
        return len(self.each) / self.elapsed

    def percentile(self, share: float) -> float:
        """Milliseconds that this share of the calls stayed below."""
        ordered = sorted(self.each)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def hammer(callers: Sequence[Callable[[], Awaitable[object]]], seconds: float, into: Latencies) -> None:
    """Let every caller call again and again for a while, all at once."""
    clock = time.perf_counter
    start = clock()

    async def one(call: Callable[[], Awaitable[object]]) -> None:
        while (before := clock()) < start + seconds:
            await call()
            into.each.append(clock() - before)

    await asyncio.gather(*(one(call) for call in callers))
    into.elapsed += clock() - start
