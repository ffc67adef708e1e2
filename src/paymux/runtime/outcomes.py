"""What a failure means: whether to run again and when, and what the operator reads.

SkipRecord          the record is set aside; the run went well
SlowDown            again when the provider said
TryAgain, network   again, with back-off
anything else       failed; a periodic task keeps its schedule
"""

import random
from datetime import timedelta

import httpx
import msgspec

from paymux.domain.aside import SetAside
from paymux.sdk import ConnectorError, SkipRecord, SlowDown, TryAgain
from paymux.storage.tasks import Ending

# Half a second, doubled with every attempt up to two minutes: soon enough after a hiccup, rare enough
# for a provider that is down.
FIRST_DELAY = timedelta(milliseconds=500)
LONGEST_DELAY = timedelta(minutes=2)
# 0.5 s doubled eight times is past the longest; counting on would overflow one day.
_DOUBLINGS = 8
# A provider that asks for more than a day means something else.
LONGEST_WAIT = timedelta(days=1)
# An error is shown in lists and logs; a page of HTML is neither.
ERROR_MAX = 2000

_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


class Judgement(msgspec.Struct, frozen=True):
    """How a run that raised is recorded. ``defect`` asks for the traceback in the log."""

    ending: Ending
    aside: SetAside | None = None
    defect: bool = False


def judge(error: BaseException, attempts: int) -> Judgement:
    """Decide what a run's exception means; ``attempts`` counts the failures before it."""
    if isinstance(error, SkipRecord):
        return Judgement(Ending("SUCCEEDED"), SetAside(kind=error.kind, reason=str(error), raw=error.raw))
    text = describe(error)
    if isinstance(error, SlowDown):
        return Judgement(Ending("FAILED", text, min(error.wait, LONGEST_WAIT)))
    if isinstance(error, TryAgain | httpx.TransportError | ConnectionError | TimeoutError) or _temporary(
        error
    ):
        return Judgement(Ending("FAILED", text, backoff(attempts)))
    return Judgement(Ending("FAILED", text), defect=not isinstance(error, ConnectorError | OSError))


def backoff(attempts: int) -> timedelta:
    """Delay before the next attempt, with jitter so that many do not come back together."""
    delay = min(FIRST_DELAY * 2 ** min(attempts, _DOUBLINGS), LONGEST_DELAY)
    return delay * random.uniform(0.8, 1.2)  # noqa: S311 - spreads, hides nothing


def describe(error: BaseException) -> str:
    """The error as an operator reads it: ``/tmp/payments: no such file or directory``."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
    elif isinstance(error, ConnectorError) and str(error):
        text = str(error)
    elif isinstance(error, TimeoutError) and str(error):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return text.replace("\0", "\\u0000").encode("utf-8", "backslashreplace").decode()[:ERROR_MAX]


def _temporary(error: BaseException) -> bool:
    if not isinstance(error, httpx.HTTPStatusError):
        return False
    return error.response.status_code == _TOO_MANY_REQUESTS or error.response.status_code >= _SERVER_ERROR
