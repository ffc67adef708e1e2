import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.domain.errors import InvalidTime, NaiveTime, shown
from paymux.domain.times import parse_rfc3339, rfc3339

# A day from either end, so that no zone leads beyond it.
FIRST, LAST = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001 - Hypothesis adds the zone
ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def test_every_measured_time_is_read_alike(vectors: Callable[[str], list[dict[str, Any]]]) -> None:
    """What the reference takes we take as the same instant; what it refuses, we refuse."""
    for vector in vectors("go_time_json"):
        if "error" in vector:
            with pytest.raises(InvalidTime):
                parse_rfc3339(vector["in"])
        else:
            assert parse_rfc3339(vector["in"]) == parse_rfc3339(json.loads(vector["out"]))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2019-05-15T14:00:00Z", "2019-05-15T14:00:00Z"),
        ("2019-05-15T14:00:00.5Z", "2019-05-15T14:00:00.5Z"),
        ("2019-05-15T14:00:00.500Z", "2019-05-15T14:00:00.5Z"),
        ("2019-05-15T14:00:00.000000Z", "2019-05-15T14:00:00Z"),
        ("2019-05-15T14:00:00.000001Z", "2019-05-15T14:00:00.000001Z"),
        ("2019-05-15T14:00:10.10Z", "2019-05-15T14:00:10.1Z"),
        ("2024-01-01T00:00:00+02:00", "2023-12-31T22:00:00Z"),
        ("2024-01-01T00:00:00-00:00", "2024-01-01T00:00:00Z"),
        ("2024-02-29T12:00:00-05:30", "2024-02-29T17:30:00Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999Z"),
        ("2024-01-01T00:00:00.123456789123456789Z", "2024-01-01T00:00:00.123456Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_read_into_utc_and_written(text: str, written: str) -> None:
    """The fraction is cut at the microsecond and loses its trailing zeros."""
    time = parse_rfc3339(text)

    assert time.tzinfo is UTC
    assert rfc3339(time) == written


@pytest.mark.parametrize("text", ["2024-01-01T00:00:00", "2024-01-01T00:00:00.5"])
def test_a_time_without_a_zone_is_refused_as_such(text: str) -> None:
    """The remedy is a zone, so the error says so."""
    with pytest.raises(NaiveTime):
        parse_rfc3339(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-01-01",
        "2024-01-01T24:00:00Z",
        "2024-01-01t00:00:00z",
        "2024-01-01 00:00:00Z",
        "2024-02-30T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00,5Z",
        "2024-01-01T00:00:00+0200",
        "2024-01-01T00:00:00+24:00",
        "2024-W01-1T00:00:00Z",
        "20240101T000000Z",
        "0000-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z\n",
        "\uff12024-01-01T00:00:00Z",
        "1" * 1_000_000,
    ],
    ids=shown,
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """A near miss is an error, whatever later Pythons accept."""
    with pytest.raises(InvalidTime) as refused:
        parse_rfc3339(text)
    assert not isinstance(refused.value, NaiveTime)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_a_time_beyond_the_calendar_is_refused(text: str) -> None:
    """In UTC it would lie in the year 0 or 10,000, for which there is no value."""
    with pytest.raises(InvalidTime):
        parse_rfc3339(text)


def test_a_naive_time_is_not_written() -> None:
    """To guess its zone is to move money's time by hours."""
    with pytest.raises(NaiveTime):
        rfc3339(datetime(2024, 1, 1))  # noqa: DTZ001 - the point of the test


def test_the_time_of_another_library_is_written() -> None:
    """Connectors use what their provider's client gives them, often a datetime of its own kind."""

    class Moment(datetime):
        pass

    assert rfc3339(Moment(2024, 1, 1, microsecond=500, tzinfo=UTC)) == "2024-01-01T00:00:00.0005Z"


@given(st.datetimes(FIRST, LAST, timezones=ZONES))
def test_what_is_written_is_read_back(time: datetime) -> None:
    """Whatever its zone, an instant stays that instant to the microsecond."""
    assert parse_rfc3339(rfc3339(time)) == time


@given(st.datetimes(FIRST, LAST, timezones=ZONES))
def test_one_instant_has_one_text(time: datetime) -> None:
    """Text is compared and hashed, so the zone it came in must not show."""
    assert rfc3339(time) == rfc3339(time.astimezone(UTC))
