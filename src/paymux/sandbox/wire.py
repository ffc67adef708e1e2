"""The wire in front of the provider: who may come in, and every way in which an answer can get lost."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from paymux.sandbox.menu import Menu, Misbehaviour

# Seconds, as Retry-After has it.
RETRY_AFTER = 1

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Where handlers find what was chosen for their call.
CHOSEN = "sandbox.chosen"
# Put there by the server: cuts the connection.
CUT = "sandbox.cut"

_LOST = {
    Misbehaviour.DROP_AFTER,
    Misbehaviour.CUT_AFTER,
    Misbehaviour.FAIL_AFTER,
    Misbehaviour.HANG_AFTER,
    Misbehaviour.GARBLE_AFTER,
}
_PAGE = b"<html><body><h1>Something is not quite right</h1></body></html>"


class Wire:
    """Stands between server and application. Paths that begin with ``/_`` are the provider's own."""

    def __init__(
        self, app: App, menu: Callable[[], Menu], api_key: str, slowness: float, lateness: float
    ) -> None:
        self._app = app
        self._menu = menu
        self._api_key = f"Bearer {api_key}"
        self._slowness = slowness
        self._lateness = lateness
        self._late: dict[asyncio.Task[None], asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call, or not."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("authorization") != self._api_key:
            await _error(send, 401, "unauthorized", "give your key as Authorization: Bearer …")
            return
        try:
            chosen = self._menu().choose(f"{scope['method']} {scope['path']}", headers.get("x-misbehave"))
        except ValueError as error:
            await _error(send, 400, "not_on_the_menu", str(error))
            return
        scope["state"][CHOSEN] = chosen
        if await self._refused(chosen, scope, receive, send):
            return
        if Misbehaviour.SLOW in chosen:
            await asyncio.sleep(self._slowness)
        if Misbehaviour.LATE in chosen:
            await self._later(scope, receive)
            return
        if chosen & _LOST:
            await self._lost(chosen, scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def hurry(self) -> None:
        """Carry out now what was to be carried out later."""
        late = list(self._late)
        for now in self._late.values():
            now.set()
        await asyncio.gather(*late)

    async def _refused(
        self, chosen: AbstractSet[Misbehaviour], scope: Scope, receive: Receive, send: Send
    ) -> bool:
        if Misbehaviour.DROP_BEFORE in chosen:
            await _cut(scope, receive)
        elif Misbehaviour.HANG_BEFORE in chosen:
            await _gone(receive)
        elif Misbehaviour.FAIL_BEFORE in chosen:
            await _error(send, 503, "unavailable", "come back later")
        elif Misbehaviour.RATE_LIMIT in chosen:
            wait = (b"retry-after", str(RETRY_AFTER).encode())
            await _error(send, 429, "too_many_requests", "slow down", wait)
        elif Misbehaviour.FORBID in chosen:
            await _error(send, 401, "unauthorized", "this key was revoked")
        else:
            return False
        return True

    async def _later(self, scope: Scope, receive: Receive) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        now = asyncio.Event()
        late = asyncio.create_task(self._carry_out(scope, body, now))
        self._late[late] = now
        late.add_done_callback(self._late.pop)
        await _cut(scope, receive)

    async def _carry_out(self, scope: Scope, body: bytes, now: asyncio.Event) -> None:
        menu = self._menu()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(now.wait(), self._lateness)

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(_: Message) -> None:
            """Nobody listens any more."""

        if menu is self._menu():  # not reset meanwhile
            await self._app(scope, receive, send)

    async def _lost(
        self, chosen: AbstractSet[Misbehaviour], scope: Scope, receive: Receive, send: Send
    ) -> None:
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        await self._app(scope, receive, keep)
        if Misbehaviour.CUT_AFTER in chosen:
            start, body = answer[0], b"".join(message.get("body", b"") for message in answer[1:])
            await send(start)
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            await _cut(scope, receive, gently=True)
        elif Misbehaviour.FAIL_AFTER in chosen:
            await _error(send, 500, "internal", "something went wrong")
        elif Misbehaviour.GARBLE_AFTER in chosen:
            await _send(send, 200, _PAGE, (b"content-type", b"text/html"))
        elif Misbehaviour.HANG_AFTER in chosen:
            await _gone(receive)
        else:
            await _cut(scope, receive)


async def _cut(scope: Scope, receive: Receive, *, gently: bool = False) -> None:
    scope["state"][CUT](gently=gently)
    # Whoever returns without an answer has failed, in the eyes of the server, which then makes one.
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    """Wait until whoever called has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _error(send: Send, status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> None:
    body = msgspec.json.encode({"error": {"code": code, "message": message}})
    await _send(send, status, body, (b"content-type", b"application/json"), *headers)


async def _send(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})
