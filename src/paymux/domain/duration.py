"""Durations as configurations write them: the Go notation, ``30m`` or ``1h30m10.5s``."""

import re
from datetime import timedelta

from paymux.domain.errors import InvalidDuration

# Go counts nanoseconds in 64 bits, about 292 years; a longer text is not a duration anybody means.
NANOSECONDS_MAX = 2**63 - 1
TEXT_CHARS_MAX = 64

_FINER = "finer than a microsecond"
_MICRO = "\u00b5s"
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    _MICRO: 1_000,
    "\u03bcs": 1_000,  # the Greek letter, which keyboards and Go also take for the micro sign
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TERM = re.compile(r"(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))(" + "|".join(_NANOSECONDS) + ")")
# In microseconds.
_MILLISECOND = 1_000
_SECOND = 1_000 * _MILLISECOND
_MINUTE = 60 * _SECOND
_MICROSECOND = timedelta(microseconds=1)


def parse_duration(text: str) -> timedelta:
    """Read a Go duration, such as ``30m``, ``1.5h``, ``10ms``, ``-5s`` or ``0``, exactly.

    Raises:
        InvalidDuration: It is of another form, longer than 292 years, or not a whole number of microseconds.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise InvalidDuration(text, f"longer than {TEXT_CHARS_MAX} characters")
    unsigned = text[1:] if text[:1] in ("-", "+") else text
    nanoseconds = 0 if unsigned == "0" else _nanoseconds(unsigned, text)
    if nanoseconds > NANOSECONDS_MAX:
        raise InvalidDuration(text, "longer than 292 years")
    microseconds, rest = divmod(nanoseconds, 1_000)
    if rest:
        raise InvalidDuration(text, _FINER)
    return timedelta(microseconds=-microseconds if text[0] == "-" else microseconds)


def _nanoseconds(unsigned: str, text: str) -> int:
    total = position = 0
    while position < len(unsigned) or not position:
        match = _TERM.match(unsigned, position)
        if match is None:
            raise InvalidDuration(text)
        whole, fraction, bare_fraction, unit = match.groups()
        digits = fraction or bare_fraction or ""
        # Scaled up before it is divided, for 0.1 has no exact binary form.
        exact, rest = divmod(int((whole or "") + digits) * _NANOSECONDS[unit], 10 ** len(digits))
        if rest:
            raise InvalidDuration(text, _FINER)
        total += exact
        position = match.end()
    return total


def format_duration(length: timedelta) -> str:
    """Write a duration as Go's ``String`` does: ``0s``, ``10ms``, ``1.5s``, ``30m0s``, ``1h0m0s``."""
    microseconds = abs(length) // _MICROSECOND
    sign = "-" if length < timedelta(0) else ""
    if microseconds == 0:
        return "0s"
    if microseconds < _MILLISECOND:
        return f"{sign}{microseconds}{_MICRO}"
    if microseconds < _SECOND:
        return f"{sign}{_decimal(microseconds, 3)}ms"
    minutes, rest = divmod(microseconds, _MINUTE)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, 6)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _decimal(value: int, places: int) -> str:
    whole, rest = divmod(value, 10**places)
    return f"{whole}.{rest:0{places}d}".rstrip("0") if rest else str(whole)
