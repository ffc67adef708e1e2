"""Time runs out for bodies that trickle and for answers that do not begin, and not for answers that do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from paymux.api.errors import BodyTooSlow
from paymux.api.limits import limited
from paymux.api.observed import App, Receive, Scope, Send

SOON, LATER = 0.05, 0.3
START = {"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"private")]}


async def asked(app: App, receive: Receive | None = None, *, body: float = 5, answer: float = 5) -> list[Any]:
    """The messages of an answer."""
    sent: list[Any] = []

    async def nothing() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await limited(app, body, answer)({"type": "http"}, receive or nothing, send)
    return sent


async def test_an_answer_that_does_not_begin_is_given_up() -> None:
    """With a body that says what may have happened, and the work under way is told to stop."""
    stopped = asyncio.Event()

    async def slow(_scope: Scope, _receive: Receive, _send: Send) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            raise

    start, body = await asked(slow, answer=SOON)

    assert start["status"] == 504
    assert msgspec.json.decode(body["body"])["errorCode"] == "TIMEOUT"
    assert stopped.is_set()


async def test_an_answer_that_has_begun_takes_its_time() -> None:
    """An export is as long as its rows."""

    async def long(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(dict(START))
        await asyncio.sleep(LATER)
        await send({"type": "http.response.body", "body": b"all of it"})

    start, body = await asked(long, answer=SOON)

    assert start["status"] == 200
    assert body["body"] == b"all of it"


async def test_headers_are_added_and_none_is_replaced() -> None:
    async def plain(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(dict(START))

    (start,) = await asked(plain)

    assert dict(start["headers"]) == {b"cache-control": b"private", b"x-content-type-options": b"nosniff"}


async def test_a_time_out_of_the_handler_is_its_own() -> None:
    """What ran out there is not said to be what ran out here."""

    async def failing(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await asked(failing)


async def _reading(_scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send(dict(START))


def _trickling(pieces: int, pause: float) -> Callable[[], Awaitable[Any]]:
    left = pieces

    async def receive() -> Any:
        nonlocal left
        await asyncio.sleep(pause)
        left -= 1
        return {"type": "http.request", "body": b"x", "more_body": left > 0}

    return receive


async def test_a_body_that_trickles_is_given_up() -> None:
    """However often a piece of it comes."""
    with pytest.raises(BodyTooSlow):
        await asked(_reading, _trickling(1_000, 0.01), body=SOON)


async def test_a_body_that_comes_in_time_is_read() -> None:
    (start,) = await asked(_reading, _trickling(3, 0.001), body=5)

    assert start["status"] == 200


async def test_waiting_for_a_client_to_go_away_is_not_a_slow_body() -> None:
    """Long answers do that beside sending."""

    async def watching(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(dict(START))
        await asyncio.wait_for(receive(), LATER)

    left = [0.0, LATER / 2]

    async def receive() -> Any:
        await asyncio.sleep(left.pop(0))
        return {"type": "http.request", "more_body": False}

    (start,) = await asked(watching, receive, body=SOON)

    assert start["status"] == 200
