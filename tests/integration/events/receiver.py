"""A receiver of webhooks: a real HTTP server that verifies, remembers, and answers as a test says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Answer = Callable[[dict[str, Any]], Awaitable[int] | int]


class Receiver:
    """Takes events whose signature is right; ``answer`` says the status of each."""

    def __init__(self, answer: Answer = lambda _: 204, port: int = 0) -> None:
        self.answer = answer
        self.port = port
        # Beside every answer.
        self.extra: list[tuple[bytes, bytes]] = []
        # In order of arrival: what was answered with 2xx, and everything.
        self.taken: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The application."""
        body = b""
        while True:
            part = await receive()
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        Webhook(SECRET).verify(body, headers)
        event = json.loads(body)
        assert headers["webhook-id"] == event["idempotencyKey"]
        self.headers.append(headers)
        self.asked.append(event)
        answer = self.answer(event)
        status = answer if isinstance(answer, int) else await answer
        if 200 <= status < 300:
            self.taken.append(event)
        start = {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"location", b"/hooks"), *self.extra],
        }
        await send(start)
        await send({"type": "http.response.body", "body": b"" if status == 204 else b"because"})

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Answer, on the same port every time."""
        async with served(self, self.port) as port:
            self.port = port
            yield


@asynccontextmanager
async def served(app: Any, port: int = 0) -> AsyncIterator[int]:
    """An application on a port of this machine."""
    config = uvicorn.Config(app, port=port, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving
