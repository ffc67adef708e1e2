"""What became of an order is decided by where its call failed, and never by a guess."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from paymux.domain.money import Amount, Asset
from paymux.domain.payment import Payment, PaymentStatus, PaymentType
from paymux.runtime.verdicts import (
    FOLLOW_FIRST,
    FOLLOW_LONGEST,
    LOOK_UPS,
    SENDS_QUIET,
    Known,
    Verdict,
    answered,
    failed,
    looked_in_vain,
    not_there,
    of_former,
    stood_still,
)
from paymux.sdk import (
    Accepted,
    AskForLogin,
    NotImplementedByConnector,
    NotThere,
    Refused,
    SkipRecord,
    SlowDown,
    TryAgain,
    Unknown,
)

SENDING = Known("SENDING")
HOUR = timedelta(hours=1)


def payment(status: PaymentStatus) -> Payment:
    return Payment(
        reference="p", type=PaymentType.PAYOUT, status=status, amount=Amount(1, Asset.parse("EUR/2"))
    )


def unknown(looks: int, **more: Any) -> Known:
    return Known(**{"state": "UNKNOWN", "looks": looks, "unknown_for": timedelta(minutes=1), **more})


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (payment(PaymentStatus.SUCCEEDED), "SUCCEEDED"),
        (payment(PaymentStatus.DISPUTE), "SUCCEEDED"),
        (payment(PaymentStatus.FAILED), "FAILED"),
        (payment(PaymentStatus.CANCELLED), "FAILED"),
        (payment(PaymentStatus.PENDING), "ACCEPTED"),
        (payment(PaymentStatus.OTHER), "ACCEPTED"),
        (Accepted(), "ACCEPTED"),
        (Accepted(handle="h"), "ACCEPTED"),
        (Accepted(payment(PaymentStatus.SUCCEEDED), "h"), "SUCCEEDED"),
        (None, "UNKNOWN"),
        ("ok", "UNKNOWN"),
        (Accepted("yes"), "UNKNOWN"),  # type: ignore[arg-type]  # a connector may do anything
    ],
)
def test_an_answer(answer: Any, state: str) -> None:
    """The payment's status decides; an answer that is none is not an answer."""
    assert answered(answer, SENDING).state == state


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Refused("no money"), "FAILED"),
        (NotImplementedByConnector(), "FAILED"),
        (TryAgain("no connection"), "READY"),
        (SlowDown(timedelta(seconds=9)), "READY"),
        (Unknown("reset"), "UNKNOWN"),
        (AskForLogin("dead key"), "UNKNOWN"),
        (SkipRecord("odd answer"), "UNKNOWN"),
        (TimeoutError(), "UNKNOWN"),
        (ConnectionError("refused"), "UNKNOWN"),
        (httpx.ConnectError("no route"), "UNKNOWN"),
        (ValueError("a defect"), "UNKNOWN"),
        (ExceptionGroup("two", [Refused("no"), TimeoutError()]), "UNKNOWN"),
    ],
)
def test_what_a_call_raises(error: Exception, state: str) -> None:
    """Only what the contract calls a no is a no, and only what it calls not sent was not sent."""
    assert failed(error, SENDING).state == state


def test_a_provider_that_asks_to_wait_is_not_asked_before() -> None:
    """And one that asks for a year is asked once a day."""
    assert failed(SlowDown(timedelta(seconds=9)), SENDING).delay == timedelta(seconds=9)
    assert failed(SlowDown(timedelta(days=365)), SENDING).delay == timedelta(days=1)


def test_unknown_is_looked_up_on_its_schedule_and_then_a_person_is_asked() -> None:
    """It never becomes anything else by itself."""
    first = failed(TimeoutError(), SENDING)
    vain = [looked_in_vain(TryAgain("down"), unknown(looks)) for looks in range(1, 7)]

    assert [first.delay, *(one.delay for one in vain)] == [*LOOK_UPS, *[LOOK_UPS[-1]] * 3]
    assert [first.stuck, *(one.stuck for one in vain)] == [False] * 4 + [True] * 3
    assert {one.state for one in (first, *vain)} == {"UNKNOWN"}


def test_not_there_counts_only_after_the_providers_lag() -> None:
    """Before, it is looked up again, by the end of the lag at the latest; then it goes out again."""
    early = not_there(unknown(2), HOUR)
    assert (early.state, early.stuck) == ("UNKNOWN", False)
    assert early.delay is not None
    assert timedelta(minutes=59) <= early.delay < timedelta(minutes=60)
    assert not_there(unknown(1), HOUR).delay == LOOK_UPS[1]

    late = not_there(unknown(2, unknown_for=HOUR), HOUR)
    assert (late.state, late.delay) == ("READY", timedelta(0))


def test_what_is_sent_again_and_again_in_vain_is_for_a_person_to_see() -> None:
    """It goes on by itself: each time with the same key, each time after a look."""
    often = unknown(1, sends=SENDS_QUIET + 1)

    assert not_there(often, HOUR).stuck
    assert looked_in_vain(TryAgain("down"), often).stuck
    assert not_there(unknown(1, sends=SENDS_QUIET + 1, unknown_for=HOUR), HOUR).state == "READY"
    assert not not_there(unknown(1, sends=SENDS_QUIET), HOUR).stuck


def test_what_was_accepted_is_never_sent_again() -> None:
    """A provider that has forgotten it is a riddle for a person, however late."""
    late = timedelta(days=9)
    for known in (Known("ACCEPTED", accepted=True), unknown(3, accepted=True, unknown_for=late)):
        verdict = not_there(known, HOUR)
        assert (verdict.state, verdict.stuck) == ("UNKNOWN", True)


def test_what_is_pending_is_followed_the_more_rarely_the_longer_it_takes() -> None:
    """A look that fails changes nothing about it."""
    delays = [answered(Accepted(), Known("ACCEPTED", looks=looks)).delay for looks in (0, 1, 2, 50)]
    vain = looked_in_vain(TimeoutError(), Known("ACCEPTED", looks=1))

    assert delays == [FOLLOW_FIRST, FOLLOW_FIRST * 2, FOLLOW_FIRST * 4, FOLLOW_LONGEST]
    assert (vain.state, vain.delay) == ("ACCEPTED", FOLLOW_FIRST * 2)


def test_a_worker_that_stood_still_lets_no_order_wait() -> None:
    """Nothing was sent and the provider is not to blame, however often it happens on a slow machine."""
    verdict = stood_still(TryAgain("still"))

    assert (verdict.state, verdict.delay, verdict.error) == ("READY", timedelta(0), "still")


def test_a_refusal_after_a_call_that_may_have_arrived_is_no_failure_before_a_look() -> None:
    """It may be refused for the money that the first one took; not there after that, it has failed."""
    verdict = failed(Refused("no money"), Known("SENDING", 2, doubted=True))
    assert (verdict.state, verdict.refused) == ("UNKNOWN", "no money")
    known = Known("UNKNOWN", 2, doubted=True, refused="no money")
    early = not_there(replace(known, unknown_for=HOUR / 2), HOUR)
    late = not_there(replace(known, unknown_for=HOUR), HOUR)

    assert early.state == "UNKNOWN"
    assert (late.state, late.error) == ("FAILED", "no money")


def test_with_another_config_not_there_means_nothing() -> None:
    """It may be another account that was asked."""
    verdict = not_there(Known("UNKNOWN", unknown_for=HOUR, changed=True), HOUR)

    assert (verdict.state, verdict.stuck) == ("UNKNOWN", True)


def test_an_attempt_before_that_was_paid_after_all_is_the_orders_end() -> None:
    """One that may still be paid holds up the next; one that was not is passed over."""
    paid = payment(PaymentStatus.SUCCEEDED)
    waits = [of_former(one, SENDING) for one in (payment(PaymentStatus.PENDING), Accepted())]

    assert of_former(paid, SENDING) == Verdict(state="SUCCEEDED", payment=paid)
    assert of_former(payment(PaymentStatus.FAILED), SENDING) is None
    assert of_former(NotThere(), SENDING) is None
    assert [one.state for one in waits if one] == ["READY", "READY"]
