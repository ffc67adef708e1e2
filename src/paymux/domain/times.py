"""Times as they are written: RFC 3339, in UTC, the fraction no longer than it must be."""

import re
from datetime import UTC, datetime
from typing import Final

from msgspec import to_builtins

from paymux.domain.errors import InvalidTime, NaiveTime

# What Go and .NET write, and clients of the tutorial's service expect, where there is no time.
NO_TIME: Final = datetime.min.replace(tzinfo=UTC)

# Stricter than datetime.fromisoformat, which takes week dates, spaces and, in later Pythons, 24:00.
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?P<zone>Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
)


def rfc3339(time: datetime) -> str:
    """Write an aware time of any zone as ``2019-05-15T14:00:00Z`` or ``2019-05-15T14:00:00.5Z``.

    Raises:
        NaiveTime: The time has no zone.
        InvalidTime: In UTC it would lie outside the years 1 to 9999.
    """
    utc = _utc(time)
    if type(utc) is not datetime:  # such as pendulum's, which msgspec does not know
        utc = datetime.combine(utc.date(), utc.time(), UTC)
    # A quarter of the time of isoformat, and every row of a list holds several.
    text: str = to_builtins(utc)
    return f"{text[:-1].rstrip('0')}Z" if time.microsecond else text


def parse_rfc3339(text: str) -> datetime:
    """Read a time of any zone into UTC; what is finer than a microsecond is cut off, not rounded.

    Raises:
        NaiveTime: The time has no zone.
        InvalidTime: It is of another form, or there is no such day or hour.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise InvalidTime(text)
    if match["zone"] is None:
        raise NaiveTime(text)
    try:
        return _utc(datetime.fromisoformat(text))
    except ValueError as error:  # such as the 30th of February
        raise InvalidTime(text) from error


def _utc(time: datetime) -> datetime:
    if time.tzinfo is UTC:
        return time
    if time.utcoffset() is None:
        raise NaiveTime(str(time))
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise InvalidTime(str(time)) from error
