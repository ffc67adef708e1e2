"""Orders to the sandbox, whatever it does: the connector tells what became of each, none is paid twice."""

import contextlib
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
import structlog

from paymux.connectors.dummypay.config import Config
from paymux.connectors.dummypay.connector import DummyPay
from paymux.domain.ids import ConnectorID
from paymux.sandbox.menu import Misbehaviour
from paymux.sandbox.server import Sandbox
from paymux.sdk import (
    Accepted,
    AccountType,
    Amount,
    AskForLogin,
    Asset,
    BankAccountToCreate,
    ConnectorContext,
    NotThere,
    Order,
    Payment,
    PaymentStatus,
    PaymentType,
    Refused,
    Reversal,
    Secret,
    SlowDown,
    TransferType,
    TryAgain,
    Unknown,
)

EUR = Asset("EUR", 2)
OWN, OWN_USD, BENEFICIARY = "acc_000001", "acc_000002", "ben_000006"

# What each misbehaviour makes of an order, and whether the money has moved.
OUTCOMES: dict[Misbehaviour | None, tuple[str, bool]] = {
    None: ("SUCCEEDED", True),
    Misbehaviour.DROP_AFTER: ("unknown", True),
    Misbehaviour.CUT_AFTER: ("unknown", True),
    Misbehaviour.FAIL_AFTER: ("unknown", True),
    Misbehaviour.HANG_AFTER: ("unknown", True),
    Misbehaviour.GARBLE_AFTER: ("unknown", True),
    Misbehaviour.LATE: ("unknown", False),  # not yet
    Misbehaviour.DROP_BEFORE: ("unknown", False),
    Misbehaviour.FAIL_BEFORE: ("unknown", False),
    Misbehaviour.HANG_BEFORE: ("unknown", False),
    Misbehaviour.RATE_LIMIT: ("again", False),
    Misbehaviour.FORBID: ("unknown", False),
    Misbehaviour.SLOW: ("SUCCEEDED", True),
    Misbehaviour.DUPLICATES: ("SUCCEEDED", True),
    Misbehaviour.NEWEST_FIRST: ("SUCCEEDED", True),
    Misbehaviour.UNSTABLE_ORDER: ("SUCCEEDED", True),
    Misbehaviour.SILENT_CHANGE: ("SUCCEEDED", True),
    Misbehaviour.UNKNOWN_STATUS: ("accepted", True),
    Misbehaviour.UNKNOWN_CURRENCY: ("accepted", True),
    Misbehaviour.MALFORMED: ("accepted", True),
    Misbehaviour.PENDING: ("PENDING", True),
    Misbehaviour.FAIL_LATER: ("PENDING", True),
}
EACH = pytest.mark.parametrize("wrong", OUTCOMES, ids=str)


class Context:
    """What methods of a connector outside of tasks are given."""

    connector_id = ConnectorID("DUMMYPAY", UUID(int=1))
    config = None
    log = structlog.get_logger()

    def clock(self) -> datetime:
        return datetime.now(UTC)

    async def schedule(self, *_: object) -> None:
        raise AssertionError("orders schedule nothing")


CTX = cast("ConnectorContext", Context())


def connector(url: str, key: str = "sandbox") -> DummyPay:
    return DummyPay(Config(url=url, api_key=Secret(key), timeout=timedelta(seconds=0.5)))


@pytest.fixture
def dummypay(sandbox: Sandbox) -> DummyPay:
    return connector(sandbox.url)


def order(reference: str = "rent", attempt: int = 1, **more: Any) -> Order:
    return Order(
        **{
            "reference": reference, "attempt": attempt, "idempotency_key": f"{reference}/{attempt}",
            "type": TransferType.PAYOUT, "amount": Amount(500, EUR), "source": OWN,
            "destination": BENEFICIARY,
            "created_at": datetime.now(UTC), **more,
        }
    )  # fmt: skip


def reversal(of: Payment, minor: int, reference: str = "rent back") -> Reversal:
    return Reversal(
        reference=reference, attempt=1, idempotency_key=f"{reference}/1", amount=Amount(minor, EUR),
        payment=of.reference, order=order(),
    )  # fmt: skip


async def outcome(sending: Awaitable[Payment | Accepted]) -> str:
    """Sort as the contract does: what came back, a definite no, surely not sent, or nobody knows."""
    try:
        found = await sending
    except Refused:
        return "refused"
    except (TryAgain, httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol):
        return "again"
    except Exception:  # noqa: BLE001 - whatever it is
        return "unknown"
    return "accepted" if isinstance(found, Accepted) else found.status


def paid(sandbox: Sandbox, reference: str = "rent") -> int:
    """How often an order was paid, by the provider's own books."""
    return int(sandbox.books()["orders"].get(reference, {"paid": 0})["paid"])


def test_every_misbehaviour_is_tried() -> None:
    assert OUTCOMES.keys() - {None} == set(Misbehaviour)


@EACH
async def test_an_order_comes_out_as_what_became_of_it(
    sandbox: Sandbox, dummypay: DummyPay, wrong: Misbehaviour | None
) -> None:
    """A definite answer only where there is one: what may have happened is neither done nor refused."""
    expected, moved = OUTCOMES[wrong]
    sandbox.misbehave(wrong)

    assert await outcome(dummypay.initiate_payment(CTX, order())) == expected
    assert paid(sandbox) == moved


@EACH
async def test_a_look_up_tells_what_an_order_did_not(
    sandbox: Sandbox, dummypay: DummyPay, wrong: Misbehaviour | None
) -> None:
    """After any answer or none: the payment that was made, or that there is none; asking pays nothing."""
    _, moved = OUTCOMES[wrong]
    sandbox.misbehave(wrong)
    await outcome(dummypay.initiate_payment(CTX, order()))

    found = await dummypay.look_up(CTX, order())

    if moved:
        assert isinstance(found, Payment)
        assert (found.type, found.amount) == (PaymentType.PAYOUT, Amount(500, EUR))
        assert (found.source, found.destination) == (OWN, BENEFICIARY)
    else:
        assert found == NotThere()
    assert paid(sandbox) == moved


@EACH
async def test_the_same_attempt_sent_again_is_paid_once(
    sandbox: Sandbox, dummypay: DummyPay, wrong: Misbehaviour | None
) -> None:
    """The key of an attempt makes it safe to repeat, however it ended; another attempt is another order."""
    sandbox.misbehave(wrong)
    await outcome(dummypay.initiate_payment(CTX, order()))

    again = await dummypay.initiate_payment(CTX, order())
    more = await dummypay.initiate_payment(CTX, order())

    assert isinstance(again, Payment)
    assert isinstance(more, Payment)
    assert again.reference == more.reference
    assert paid(sandbox) == 1
    await dummypay.initiate_payment(CTX, order(attempt=2))
    assert paid(sandbox) == 2


@EACH
async def test_a_look_up_that_goes_wrong_says_nothing(
    sandbox: Sandbox, dummypay: DummyPay, wrong: Misbehaviour | None
) -> None:
    """It never takes a failure for "there is no such payment": that would let it be sent again."""
    await dummypay.initiate_payment(CTX, order())
    sandbox.misbehave(wrong)

    try:
        found = await dummypay.look_up(CTX, order())
    except (TryAgain, AskForLogin, httpx.TransportError):
        return

    assert isinstance(found, Payment | Accepted)


@EACH
async def test_a_reversal_comes_out_as_what_became_of_it(
    sandbox: Sandbox, dummypay: DummyPay, wrong: Misbehaviour | None
) -> None:
    """As an order does, and sent again it takes nothing back twice."""
    expected, moved = OUTCOMES[wrong]
    made = await dummypay.initiate_payment(CTX, order())
    assert isinstance(made, Payment)
    sandbox.misbehave(wrong)

    assert await outcome(dummypay.reverse_payment(CTX, reversal(made, 200))) == expected
    assert paid(sandbox, "rent back") == moved

    found = await dummypay.look_up(CTX, reversal(made, 200))
    assert isinstance(found, Payment) if moved else found == NotThere()
    back = await dummypay.reverse_payment(CTX, reversal(made, 200))
    assert isinstance(back, Payment)
    assert back.amount == Amount(200, EUR)
    assert paid(sandbox, "rent back") == 1
    assert sandbox.books()["payments"][made.reference]["reversed"] == 200


@EACH
async def test_a_bank_account_is_made_known_once(
    sandbox: Sandbox, dummypay: DummyPay, wrong: Misbehaviour | None
) -> None:
    """Whatever becomes of the first request, the second finds the same beneficiary."""
    before = len(sandbox.books()["accounts"])
    wanted = BankAccountToCreate(name="Ida", country="DE", iban="DE89370400440532013000", idempotency_key="k")
    sandbox.misbehave(wrong)
    with contextlib.suppress(TryAgain, Unknown, AskForLogin, ValueError):
        await dummypay.create_external_bank_account(CTX, wanted)

    made = await dummypay.create_external_bank_account(CTX, wanted)

    assert (made.type, made.name) == (AccountType.EXTERNAL, "Ida")
    assert len(sandbox.books()["accounts"]) == before + 1


async def test_many_orders_under_much_trouble_are_each_paid_once(
    sandbox: Sandbox, dummypay: DummyPay
) -> None:
    """Each is sent under its key until there is an answer, whatever it takes."""
    slow = {"slow", "late", "hang-after", "hang-before"}
    wire = [one for one, (ends, _) in OUTCOMES.items() if one and ends in ("unknown", "again")]
    sandbox.misbehave(probability={one: 0.08 for one in wire if one not in slow})
    tries = 0
    for number in range(40):
        ended = ""
        while ended not in ("SUCCEEDED", "accepted"):
            ended = await outcome(dummypay.initiate_payment(CTX, order(f"{number}")))
            tries += 1
            assert ended != "refused"

    assert tries > 40
    told = sandbox.books()["orders"]
    assert [told[f"{number}"]["paid"] for number in range(40)] == [1] * 40


async def test_what_is_pending_is_followed_to_its_end(sandbox: Sandbox, dummypay: DummyPay) -> None:
    """Looked up again later it has settled, or failed and given the money back."""
    for wrong, end in ("pending", PaymentStatus.SUCCEEDED), ("fail-later", PaymentStatus.FAILED):
        sandbox.misbehave(wrong)
        made = await dummypay.initiate_payment(CTX, order(wrong))
        assert isinstance(made, Payment)
        assert made.status is PaymentStatus.PENDING

        sandbox.hurry()

        found = await dummypay.look_up(CTX, order(wrong))
        assert isinstance(found, Payment)
        assert (found.reference, found.status) == (made.reference, end)
    assert (paid(sandbox, "pending"), paid(sandbox, "fail-later")) == (1, 0)


async def test_what_is_carried_out_late_is_paid_once(sandbox: Sandbox, dummypay: DummyPay) -> None:
    """A look-up finds nothing at first, so that alone is never a no; the key makes it safe to repeat."""
    sandbox.misbehave("late", "late")
    assert await outcome(dummypay.initiate_payment(CTX, order())) == "unknown"
    assert await outcome(dummypay.initiate_payment(CTX, order("other"))) == "unknown"
    assert await dummypay.look_up(CTX, order()) == NotThere()
    await dummypay.initiate_payment(CTX, order("other"))

    sandbox.hurry()

    assert isinstance(await dummypay.look_up(CTX, order()), Payment)
    assert (paid(sandbox), paid(sandbox, "other")) == (1, 1)


@pytest.mark.parametrize(
    ("wrong", "why"),
    {
        "more than there is": ({"amount": Amount(10**12, EUR)}, "insufficient_funds"),
        "another currency": ({"amount": Amount(5, Asset("USD", 2))}, "wrong_currency"),
        "an account that is not there": ({"destination": "ben_999999"}, "unknown_account"),
        "a beneficiary's account to pay from": ({"source": BENEFICIARY}, "unknown_account"),
        "a transfer to somebody else": ({"type": TransferType.TRANSFER}, "wrong_account"),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_no_is_a_no(sandbox: Sandbox, dummypay: DummyPay, wrong: str, why: Any) -> None:
    """Refused, with the provider's reason; nothing was paid, and the look-up agrees."""
    changes, code = why

    with pytest.raises(Refused, match=code):
        await dummypay.initiate_payment(CTX, order(wrong, **changes))

    assert paid(sandbox, wrong) == 0
    assert await dummypay.look_up(CTX, order(wrong, **changes)) == NotThere()


async def test_a_transfer_moves_money_between_our_accounts(sandbox: Sandbox, dummypay: DummyPay) -> None:
    """What leaves one arrives in the other."""
    other = sandbox.open_account("Reserve", "EUR")
    before = {row["account"]: row["amount"] for row in sandbox.books()["balances"]}

    made = await dummypay.initiate_payment(CTX, order(type=TransferType.TRANSFER, destination=other))

    assert isinstance(made, Payment)
    assert made.type is PaymentType.TRANSFER
    after = {row["account"]: row["amount"] for row in sandbox.books()["balances"]}
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == {
        OWN: -500,
        other: 500,
    }


async def test_no_more_is_taken_back_than_was_paid(sandbox: Sandbox, dummypay: DummyPay) -> None:
    """In parts, up to the whole; then the payment shows as refunded."""
    made = await dummypay.initiate_payment(CTX, order())
    assert isinstance(made, Payment)
    await dummypay.reverse_payment(CTX, reversal(made, 200, "one"))
    await dummypay.reverse_payment(CTX, reversal(made, 300, "two"))

    with pytest.raises(Refused):
        await dummypay.reverse_payment(CTX, reversal(made, 1, "three"))

    found = await dummypay.look_up(CTX, order())
    assert isinstance(found, Payment)
    assert found.status is PaymentStatus.REFUNDED
    assert sandbox.books()["payments"][made.reference]["reversed"] == 500


async def test_slow_down_says_for_how_long(sandbox: Sandbox, dummypay: DummyPay) -> None:
    """As long as Retry-After has it."""
    sandbox.misbehave("rate-limit")

    with pytest.raises(SlowDown) as slow:
        await dummypay.initiate_payment(CTX, order())

    assert slow.value.wait == timedelta(seconds=1)


async def test_a_provider_that_is_not_there_took_nothing(sandbox: Sandbox) -> None:
    """What never left is safe to send again."""
    del sandbox
    assert await outcome(connector("http://127.0.0.1:1").initiate_payment(CTX, order())) == "again"


async def test_a_wrong_key_asks_for_login(sandbox: Sandbox) -> None:
    """And neither check nor order shows the key."""
    wrong = connector(sandbox.url, "not the key")

    with pytest.raises(AskForLogin) as asked:
        await wrong.check(CTX)

    assert "not the key" not in str(asked.value)
    assert paid(sandbox) == 0
