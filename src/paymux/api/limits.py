"""Limits on time: of a body that comes in slowly, and of an answer that does not begin.

An answer that has begun may take as long as it is read: an export is as long as its rows.
"""

import asyncio
from typing import Any

import msgspec

from paymux.api.errors import TIMEOUT, BodyTooSlow
from paymux.api.observed import App, Receive, Scope, Send

_TOO_SLOW = 504
# What browsers are told of every answer: it is what it says it is, and not to be kept.
_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]


def limited(app: App, body_seconds: float, answer_seconds: float) -> App:
    """Hold an application's requests to these times."""

    async def limiting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        begun = False

        async def sending(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                if not within.expired():
                    within.reschedule(None)
                known = {name.lower() for name, _ in message.get("headers", ())}
                more = [header for header in _HEADERS if header[0] not in known]
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        try:
            async with asyncio.timeout(answer_seconds) as within:
                await app(scope, _in_time(receive, body_seconds), sending)
        except TimeoutError:
            if begun or not within.expired():
                raise
            await _late(sending, answer_seconds)

    return limiting


def _in_time(receive: Receive, seconds: float) -> Receive:
    """The same, as long as the body comes in within so many seconds from now."""
    until = asyncio.get_running_loop().time() + seconds
    whole = False

    async def receiving() -> Any:
        nonlocal whole
        if whole:  # what comes now is that the client has gone, whenever that may be
            return await receive()
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise BodyTooSlow(BodyTooSlow.__doc__) from None
        whole = not message.get("more_body", False)
        return message

    return receiving


async def _late(send: Send, seconds: float) -> None:
    """Say that it took too long."""
    message = (
        f"This took longer than {seconds:g} seconds and was given up (PAYMUX_ANSWER_TIMEOUT). What was asked"
        " may have happened all the same: look before asking again."
    )
    body = msgspec.json.encode({"errorCode": TIMEOUT, "errorMessage": message})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": _TOO_SLOW, "headers": headers})
    await send({"type": "http.response.body", "body": body})
