"""Sending beside each other and still in order."""

import asyncio
from random import Random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from paymux.events.messages import Message, NotSent, Refusal, each_in_order

AT_ONCE = 4


def messages(objects: list[int]) -> list[Message]:
    return [Message(UUID(int=number), "T", UUID(int=one), b"") for number, one in enumerate(objects)]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["take", "refuse", "fail"])), max_size=40),
    st.randoms(use_true_random=False),
)
def test_of_one_object_nothing_is_sent_behind_what_was_not_taken(
    plan: list[tuple[int, str]], dice: Random
) -> None:
    """Whatever fails, and however long each takes; a refusal is settled, and what comes behind it goes."""
    batch = messages([one for one, _ in plan])
    sent: list[Message] = []
    under_way = 0

    async def send(message: Message) -> None:
        nonlocal under_way
        under_way += 1
        assert under_way <= AT_ONCE
        sent.append(message)
        for _ in range(dice.randrange(3)):
            await asyncio.sleep(0)
        under_way -= 1
        match plan[message.key.int][1]:
            case "refuse":
                raise Refusal("no")
            case "fail":
                raise OSError("down")

    outcomes = asyncio.run(each_in_order(batch, send, AT_ONCE))

    assert len(outcomes) == len(batch)
    for message, outcome in zip(batch, outcomes, strict=True):
        wanted = {"take": type(None), "refuse": Refusal, "fail": OSError}[plan[message.key.int][1]]
        assert isinstance(outcome, wanted) if message in sent else isinstance(outcome, NotSent)
    for one in {message.object for message in batch}:
        mine = [message for message in batch if message.object == one]
        told = [message for message in sent if message.object == one]
        assert told == mine[: len(told)]
        assert all(not isinstance(outcomes[message.key.int], OSError) for message in told[:-1])
    if all(what != "fail" for _, what in plan):
        assert len(sent) == len(batch)


def test_a_sink_that_is_down_is_not_asked_for_each() -> None:
    """As many as may be under way find out, and the rest waits."""
    asked = 0

    async def send(_: Message) -> None:
        nonlocal asked
        asked += 1
        raise OSError("down")

    outcomes = asyncio.run(each_in_order(messages(list(range(1000))), send, AT_ONCE))

    assert asked <= 2 * AT_ONCE
    assert sum(isinstance(outcome, OSError) for outcome in outcomes) == asked
