"""Messages: events as sinks take them, and what may come of offering one.

None         taken
Refusal      this sink will never take it as it is
NotSent      not offered, because an earlier one about the same object was not taken, or too many were not
Busy         not taken this time, because there were too many
other errors not taken this time
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import msgspec

from paymux.events.types import from_row

Outcome: TypeAlias = Exception | None

_encode = msgspec.json.Encoder().encode


class Refusal(Exception):
    """The sink refuses this event; the message says why."""


class Busy(Exception):
    """The sink asks for a pause, of ``seconds`` at least; that says nothing about the event."""

    def __init__(self, why: str, seconds: float = 0) -> None:
        super().__init__(why)
        self.seconds = seconds


class NotSent(Exception):
    """It waits for another one."""


class Message(msgspec.Struct, frozen=True):
    """An event ready to be sent: its key, its type, the object it is about, and its envelope as JSON."""

    key: UUID
    type: str
    object: UUID
    body: bytes


class Sink(Protocol):
    """Somewhere events are told."""

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Offer a batch, oldest first; says what came of each.

        About one object, nothing is offered behind a message that was not taken (a Refusal counts as
        settled). An exception means that none is known to have been taken. What was not taken is offered
        again, so a sink may see one twice.
        """

    async def close(self) -> None:
        """Let go of connections."""


def message(row: Any) -> Message:
    """An outbox row, with what it points at, as it is told."""
    event = from_row(row)
    return Message(event.idempotency_key, row["type"], row["object"], _encode(event))


async def each_in_order(
    messages: Sequence[Message], send: Callable[[Message], Awaitable[None]], at_once: int
) -> list[Outcome]:
    """Send one by one what is about one object, and objects beside each other, ``at_once`` at most.

    When so many in a row could not be sent that all who send have seen it, the rest is not tried.
    """
    outcomes: list[Outcome] = [NotSent(NotSent.__doc__)] * len(messages)
    lines: dict[UUID, list[int]] = {}
    for number, one in enumerate(messages):
        lines.setdefault(one.object, []).append(number)
    places = asyncio.Semaphore(at_once)
    in_a_row = 0

    async def tell(line: list[int]) -> None:
        nonlocal in_a_row
        for number in line:
            async with places:
                if in_a_row >= at_once:
                    return
                try:
                    await send(messages[number])
                except Refusal as refusal:
                    outcomes[number] = refusal
                except Exception as error:  # noqa: BLE001 - whatever it is, the relay says it and comes again
                    outcomes[number] = error
                    in_a_row += 1
                    return
                else:
                    outcomes[number] = None
                in_a_row = 0

    async with asyncio.TaskGroup() as group:
        for line in lines.values():
            group.create_task(tell(line))
    return outcomes
