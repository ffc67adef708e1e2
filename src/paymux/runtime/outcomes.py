"""What a failure means: whether to run again and when, and what the operator reads.

SkipRecord          the record is set aside; the run went well
SlowDown, 429       again when the provider said
TryAgain, network   again, with back-off
no such connector   again, with back-off: it may be here tomorrow, or on another worker
AskForLogin         failed; nothing of the installation runs until its config changes
BadConfig           failed; health shows it until a run goes well
its worker died     again at once, but after some times in a row after a rest
anything else       failed; a periodic task keeps its schedule
"""

import errno
import random
import socket
from collections.abc import Iterator
from datetime import timedelta

import httpx
import msgspec

from paymux.domain.aside import SetAside
from paymux.runtime.registry import UnknownConnector
from paymux.sdk import AskForLogin, BadConfig, ConnectorError, SkipRecord, SlowDown, TryAgain
from paymux.storage.tasks import Ending

# Half a second, doubled with every attempt up to two minutes: soon enough after a hiccup, rare enough
# for a provider that is down.
FIRST_DELAY = timedelta(milliseconds=500)
LONGEST_DELAY = timedelta(minutes=2)
# 0.5 s doubled eight times is past the longest; counting on would overflow one day.
_DOUBLINGS = 8
# A provider that asks for more than a day means something else.
LONGEST_WAIT = timedelta(days=1)
# Workers that die under a task one after the other, and it got nowhere: they may have died of anything, in
# a bad hour. More than that, and it is the task that kills them, with whatever else they were doing.
CRASHES_MAX = 4
FIRST_REST = timedelta(minutes=1)
LONGEST_REST = timedelta(hours=1)
_REST_DOUBLINGS = 6
# An error is shown in lists and logs; a page of HTML is neither.
ERROR_MAX = 2000

_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}


class Judgement(msgspec.Struct, frozen=True):
    """How a run that raised is recorded. ``defect`` asks for the traceback in the log."""

    ending: Ending
    aside: tuple[SetAside, ...] = ()
    defect: bool = False


def judge(error: BaseException, attempts: int) -> Judgement:
    """Decide what a run's exception means; ``attempts`` counts the failures before it."""
    if isinstance(error, BaseExceptionGroup):
        return _judge_all(error, attempts)
    if isinstance(error, SkipRecord):
        return Judgement(Ending("SUCCEEDED"), (SetAside(kind=error.kind, reason=str(error), raw=error.raw),))
    text = describe(error)
    wait = _asked_for(error)
    if wait is not None:
        # A provider that says "at once" to everybody must not be asked in a tight loop.
        return Judgement(Ending("FAILED", text, min(max(wait, FIRST_DELAY), LONGEST_WAIT)))
    if _temporary(error):
        return Judgement(Ending("FAILED", text, backoff(attempts)))
    if isinstance(error, AskForLogin | BadConfig):
        return Judgement(
            Ending("FAILED", text, fault="LOGIN" if isinstance(error, AskForLogin) else "CONFIG")
        )
    return Judgement(Ending("FAILED", text), defect=not isinstance(error, ConnectorError | OSError))


def backoff(attempts: int) -> timedelta:
    """Delay before the next attempt, with jitter so that many do not come back together."""
    return _spread(min(FIRST_DELAY * 2 ** min(attempts, _DOUBLINGS), LONGEST_DELAY))


def crashed(crashes: int) -> Ending | None:
    """How a task ends that was taken over from so many dead workers in a row; None: it is run again."""
    beyond = crashes - CRASHES_MAX
    if beyond <= 0:
        return None
    # Apart from what merely ran beside it, and died with it each time.
    rest = _spread(min(FIRST_REST * 2 ** min(beyond - 1, _REST_DOUBLINGS), LONGEST_REST))
    text = f"Its worker died, or stood still, {crashes} times in a row while it ran."
    return Ending("FAILED", text, rest, fault="CRASH")


def describe(error: BaseException) -> str:
    """The error as an operator reads it: ``/tmp/payments: no such file or directory``."""
    if isinstance(error, BaseExceptionGroup):
        text = "; ".join(dict.fromkeys(describe(one) for one in _leaves(error)))
    elif isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{_text(error.filename)}: {error.strerror[0].lower()}{error.strerror[1:]}"
    else:
        text = _text(error)
        if not text or not isinstance(error, ConnectorError | TimeoutError | UnknownConnector):
            text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text.replace("\0", "\\u0000").encode("utf-8", "backslashreplace").decode()[:ERROR_MAX]


def _spread(delay: timedelta) -> timedelta:
    return delay * random.uniform(0.8, 1.2)  # noqa: S311 - spreads, hides nothing


def _judge_all(group: BaseExceptionGroup[BaseException], attempts: int) -> Judgement:
    """Of several errors at once, what is final outweighs what will pass; the longest wait counts."""
    judged = [judge(one, attempts) for one in _leaves(group)]
    aside = tuple(skipped for one in judged for skipped in one.aside)
    failed = [one for one in judged if one.ending.outcome == "FAILED"]
    if not failed:
        return Judgement(Ending("SUCCEEDED"), aside)
    waits = [one.ending.retry for one in failed]
    retry = None if None in waits else max(wait for wait in waits if wait is not None)
    defect = any(one.defect for one in failed)
    # Who must log in comes first: until then nothing else can be mended either.
    faults = {one.ending.fault for one in failed}
    fault = next((kind for kind in ("LOGIN", "CONFIG") if kind in faults), None)
    return Judgement(Ending("FAILED", describe(group), retry, fault), aside, defect)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _leaves(one)
        else:
            yield one


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - somebody else's __str__, in a sentence that must be written
        return ""


def _asked_for(error: BaseException) -> timedelta | None:
    """How long the provider asked us to wait, if it did."""
    if isinstance(error, SlowDown):
        return error.wait
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code >= _TOO_MANY_REQUESTS:
        seconds = error.response.headers.get("Retry-After", "")
        if seconds.isascii() and seconds.isdecimal():
            return timedelta(seconds=min(int(seconds[:10]), LONGEST_WAIT.total_seconds()))
    return None


def _temporary(error: BaseException) -> bool:
    if isinstance(error, TryAgain | httpx.TransportError | ConnectionError | TimeoutError | socket.gaierror):
        return True
    if isinstance(error, UnknownConnector):
        return True
    if isinstance(error, httpx.HTTPStatusError):
        code = error.response.status_code
        return code == _TOO_MANY_REQUESTS or code >= _SERVER_ERROR
    return isinstance(error, OSError) and error.errno in _UNREACHABLE
