from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.domain.duration import NANOSECONDS_MAX, format_duration, parse_duration
from paymux.domain.errors import InvalidDuration, shown

LONGEST = timedelta(microseconds=NANOSECONDS_MAX // 1_000)


def test_every_measured_duration_is_read_and_written_alike(
    vectors: Callable[[str], list[dict[str, Any]]],
) -> None:
    """What the reference takes and writes, we take and write; what it refuses, we refuse."""
    for vector in vectors("go_duration"):
        if "error" in vector:
            with pytest.raises(InvalidDuration):
                parse_duration(vector["in"])
        else:
            length = parse_duration(vector["in"])
            assert format_duration(length) == vector["out"]["string"]
            assert str(length // timedelta(microseconds=1) * 1_000) == vector["out"]["json"]


@pytest.mark.parametrize(
    ("text", "length", "written"),
    [
        ("0", timedelta(0), "0s"),
        ("0s", timedelta(0), "0s"),
        ("-0", timedelta(0), "0s"),
        ("0ns", timedelta(0), "0s"),
        ("30m", timedelta(minutes=30), "30m0s"),
        ("1.5h", timedelta(minutes=90), "1h30m0s"),
        (".5s", timedelta(milliseconds=500), "500ms"),
        ("5.s", timedelta(seconds=5), "5s"),
        ("+5s", timedelta(seconds=5), "5s"),
        ("-5s", timedelta(seconds=-5), "-5s"),
        ("-1.5ms", timedelta(microseconds=-1500), "-1.5ms"),
        ("1h30m10.5s", timedelta(hours=1, minutes=30, seconds=10.5), "1h30m10.5s"),
        ("1us", timedelta(microseconds=1), "1\u00b5s"),
        ("1\u00b5s", timedelta(microseconds=1), "1\u00b5s"),
        ("1\u03bcs", timedelta(microseconds=1), "1\u00b5s"),
        ("1000ns", timedelta(microseconds=1), "1\u00b5s"),
        ("500ns500ns", timedelta(microseconds=1), "1\u00b5s"),
        ("0.1h", timedelta(minutes=6), "6m0s"),
        ("1m1h", timedelta(minutes=61), "1h1m0s"),
        ("100h", timedelta(hours=100), "100h0m0s"),
        ("1h0.000001s", timedelta(hours=1, microseconds=1), "1h0m0.000001s"),
    ],
)
def test_a_duration_is_read_and_written(text: str, length: timedelta, written: str) -> None:
    """Any order and any fraction in; the largest unit first out."""
    assert parse_duration(text) == length
    assert format_duration(length) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "+",
        ".",
        "s",
        ".s",
        "5",
        "00",
        "-.s",
        "1h 2m",
        " 1h",
        "1h ",
        "1h\n",
        "1d",
        "1 h",
        "1H",
        "1e3s",
        "1,5s",
        "1h-2m",
        "--1s",
        "1_0s",
        "\uff11s",
        "1.5.5s",
        "PT30M",
        "00:30:00",
        "1" * 1_000_000 + "s",
    ],
    ids=shown,
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(InvalidDuration, match="us, ms, s, m or h"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["1ns", "999ns", "0.0000001s", "1.0005us", "0.5ns", "0.00000000000000000001h"]
)
def test_what_is_finer_than_a_microsecond_is_refused(text: str) -> None:
    """Rounding would make a period of nothing out of a very short one."""
    with pytest.raises(InvalidDuration, match="finer than a microsecond"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["9223372036854775808ns", "2562048h", "-2562048h", "99999999999999999999999999h"]
)
def test_what_is_longer_than_292_years_is_refused(text: str) -> None:
    """The limit of 64 bits of nanoseconds holds for both signs."""
    with pytest.raises(InvalidDuration, match="longer than 292 years"):
        parse_duration(text)


@given(st.timedeltas(min_value=-LONGEST, max_value=LONGEST))
def test_what_is_written_is_read_back(length: timedelta) -> None:
    """``parse(format(d))`` is d, to the microsecond."""
    assert parse_duration(format_duration(length)) == length


@given(st.text("0123456789.-+hmsun\u00b5 ", max_size=20))
def test_any_text_is_a_duration_or_is_refused(text: str) -> None:
    """Nothing but an InvalidDuration comes out of bad text, and good text has one written form."""
    try:
        length = parse_duration(text)
    except InvalidDuration:
        return
    assert parse_duration(format_duration(length)) == length
