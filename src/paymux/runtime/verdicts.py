"""What became of an order, judged by what the connector answered or raised, and by where that happened.

a call   Payment, Accepted            by the payment's status: moved, not moved, or on its way
         Refused                      not moved, for good; when an earlier call of it may have arrived
                                      that may be why: it is looked up
         TryAgain, SlowDown           surely not taken: again, with the same key
         anything else                nobody knows: it is looked up
a look   Payment, Accepted            as above
         NotThere                     only after the provider's lag: surely not taken, again with the same
                                      key, or not moved, for good, when the last call was refused; and only
                                      with the config that it was sent with: another account knows nothing
         anything else                still nobody knows

Before an order that has failed is sent under another key, the attempt before is looked up: what has moved
after all is not sent again.
An order never fails by itself because nobody knows, and is never sent again without a look.
"""

from datetime import timedelta

import msgspec

from paymux.domain.payment import Payment
from paymux.domain.transfer import Fate, fate
from paymux.runtime.outcomes import LONGEST_WAIT, backoff, describe
from paymux.sdk import Accepted, NotImplementedByConnector, NotThere, Refused, SlowDown, TryAgain

# When an order whose outcome is unknown is looked up, each after the one before; then as the last, for ever.
LOOK_UPS = (timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=1), timedelta(days=1))
# An order that the provider has accepted is followed, the more rarely the longer it takes.
FOLLOW_FIRST, FOLLOW_LONGEST = timedelta(seconds=1), timedelta(hours=1)
# Calls after which somebody should look at an order that is unknown, though it goes on by itself.
SENDS_QUIET = 3
# 1 s doubled twelve times is past the longest.
_DOUBLINGS = 12
# A provider whose lag has just run out is asked a moment later.
_MOMENT = timedelta(milliseconds=50)


class Known(msgspec.Struct, frozen=True):
    """What is known of an attempt: calls begun, looks since, whether it was taken, how long it is unknown.

    ``doubted``: an earlier call may have arrived. ``refused``: why the last one was, when that was in doubt.
    ``changed``: the config is another one than it was sent with.
    """

    state: str
    sends: int = 1
    looks: int = 0
    accepted: bool = False
    unknown_for: timedelta | None = None
    doubted: bool = False
    refused: str | None = None
    changed: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written down; states are those of transfer_attempt."""

    state: str
    error: str = ""
    delay: timedelta | None = None
    handle: str | None = None
    # Looking it up has not helped so far.
    stuck: bool = False
    # Why the provider refused it, which it may have done because it had taken it before.
    refused: str | None = None
    payment: Payment | None = None


def answered(answer: object, known: Known, look_ups: tuple[timedelta, ...] = LOOK_UPS) -> Verdict:
    """Judge what a call, or a look, has brought. NotThere is not for this."""
    payment, handle = answer, None
    if isinstance(answer, Accepted):
        payment, handle = answer.payment, answer.handle
    if payment is None and isinstance(answer, Accepted):
        return Verdict(state="ACCEPTED", delay=_follow(known), handle=handle)
    if not isinstance(payment, Payment):
        return lost(f"The connector answered with {type(answer).__name__}.", known, look_ups)
    match fate(payment.status):
        case Fate.MOVED:
            return Verdict(state="SUCCEEDED", handle=handle, payment=payment)
        case Fate.NOT_MOVED:
            why = f"The provider's payment {payment.reference} is {payment.status}."
            return Verdict(state="FAILED", error=why, handle=handle, payment=payment)
    return Verdict(state="ACCEPTED", delay=_follow(known), handle=handle, payment=payment)


def of_former(answer: object, known: Known) -> Verdict | None:
    """Judge what a look for the attempt before has brought, which was to have failed; None when it has."""
    if isinstance(answer, NotThere):
        return None
    verdict = answered(answer, known)
    if verdict.state == "FAILED":
        return None
    if verdict.state == "SUCCEEDED":
        return verdict
    waiting = "The attempt before may still be paid; nothing is sent until the provider says that it was not."
    return Verdict(state="READY", error=waiting, delay=backoff(known.sends - 1))


def failed(error: BaseException, known: Known, look_ups: tuple[timedelta, ...] = LOOK_UPS) -> Verdict:
    """Judge what a call has raised."""
    if isinstance(error, Refused) and known.doubted:
        verdict = lost(f"Refused, but an earlier call may have arrived: {describe(error)}", known, look_ups)
        return msgspec.structs.replace(verdict, refused=describe(error))
    if isinstance(error, Refused | NotImplementedByConnector):
        return Verdict(state="FAILED", error=describe(error))
    if isinstance(error, TryAgain):
        return not_sent(error, known)
    return lost(describe(error), known, look_ups)


def not_sent(error: BaseException, known: Known) -> Verdict:
    """Nothing has reached the provider: again, with the same key."""
    delay = backoff(known.sends - 1)
    if isinstance(error, SlowDown):
        delay = min(max(error.wait, delay), LONGEST_WAIT)
    return Verdict(state="READY", error=describe(error), delay=delay)


def stood_still(error: BaseException) -> Verdict:
    """Nothing was sent, and the provider is not to blame: again at once, with the same key."""
    return Verdict(state="READY", error=describe(error), delay=timedelta(0))


def not_there(known: Known, lag: timedelta, look_ups: tuple[timedelta, ...] = LOOK_UPS) -> Verdict:
    """Judge that the provider knows of no such order."""
    if known.accepted:
        why = "The provider had accepted it, and now knows of no such order."
        return msgspec.structs.replace(lost(why, known, look_ups), stuck=True)
    if known.changed:
        why = "The provider knows of no such order, but the config has changed since it was sent."
        return msgspec.structs.replace(lost(why, known, look_ups), stuck=True)
    since = known.unknown_for or timedelta(0)
    if since >= lag and known.refused is not None:
        return Verdict(state="FAILED", error=known.refused)
    if since >= lag:
        why = "The provider knows of no such order: it is sent again, with the same key."
        return Verdict(state="READY", error=why, delay=timedelta(0))
    verdict = lost(f"The provider knows of no such order, which counts only after {lag}.", known, look_ups)
    delay = min(verdict.delay or lag, lag - since + _MOMENT)
    return msgspec.structs.replace(verdict, delay=delay, stuck=known.sends > SENDS_QUIET)


def looked_in_vain(error: BaseException, known: Known, look_ups: tuple[timedelta, ...] = LOOK_UPS) -> Verdict:
    """Judge a look that failed; one that is on its way stays so."""
    if known.state == "ACCEPTED":
        return Verdict(state="ACCEPTED", error=describe(error), delay=_follow(known))
    return lost(describe(error), known, look_ups)


def lost(why: str, known: Known, look_ups: tuple[timedelta, ...] = LOOK_UPS) -> Verdict:
    """Nobody knows; when to look next, and whether looking has helped so far."""
    # Looks begin anew with each call.
    looks = known.looks if known.state == "UNKNOWN" else 0
    delay = look_ups[min(looks, len(look_ups) - 1)]
    stuck = looks >= len(look_ups) or (looks > 0 and known.sends > SENDS_QUIET)
    return Verdict(state="UNKNOWN", error=why, delay=delay, stuck=stuck)


def _follow(known: Known) -> timedelta:
    looks = known.looks if known.state == "ACCEPTED" else 0
    delay: timedelta = min(FOLLOW_FIRST * 2 ** min(looks, _DOUBLINGS), FOLLOW_LONGEST)
    return delay
