"""A task: a piece of a connector's work with an immutable descriptor, a state and a schedule."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import ClassVar

import msgspec

from paymux.domain.errors import InvalidSchedule
from paymux.domain.ids import canonical_json

# Shorter than this a period is a busy loop; ten ticks a second is more than any provider bears.
PERIOD_MIN = timedelta(milliseconds=100)
# Further ahead than this is a mistake in the unit.
DELAY_MAX = timedelta(days=3660)
# A descriptor is an identity, not a place for data; it is shown and hashed with every run.
DESCRIPTOR_MAX = 8192


class TaskStatus(StrEnum):
    """Where a task stands; what each means is in docs/explanation/tasks.md."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    TERMINATED = "TERMINATED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"


class Restart(StrEnum):
    """What to do when the task that is being scheduled exists already."""

    # A task that exists, in any status, is left alone.
    NEVER = "NEVER"
    # Run again; a running one is followed by one more run, never doubled.
    ALWAYS = "ALWAYS"
    # Run again unless it is ACTIVE or PENDING.
    IF_NOT_ACTIVE = "IF_NOT_ACTIVE"
    # Cancel the running one, wait for its end, start anew with the new options.
    STOP_AND_RESTART = "STOP_AND_RESTART"


class When(StrEnum):
    """The five ways to schedule."""

    NOW = "NOW"
    NOW_SYNC = "NOW_SYNC"
    AFTER = "AFTER"
    AT = "AT"
    EVERY = "EVERY"


class Schedule(msgspec.Struct, frozen=True):
    """When a task runs. Made by ``now``, ``now_sync``, ``after``, ``at`` and ``every``."""

    when: When
    duration: timedelta | None = None
    instant: datetime | None = None

    @classmethod
    def now(cls) -> "Schedule":
        """Run once, as soon as there is a place."""
        return _NOW

    @classmethod
    def now_sync(cls) -> "Schedule":
        """Run once; scheduling waits for the end and raises the task's error."""
        return _NOW_SYNC

    @classmethod
    def after(cls, delay: timedelta) -> "Schedule":
        """Run once, when ``delay`` has passed; a restart of the service does not start it over."""
        if not timedelta(0) <= delay <= DELAY_MAX:
            raise InvalidSchedule(f"A delay is between 0 and {DELAY_MAX.days} days, got {delay}.")
        return cls(When.AFTER, duration=delay)

    @classmethod
    def at(cls, instant: datetime) -> "Schedule":
        """Run once at ``instant`` (aware); the past means now."""
        if instant.tzinfo is None:
            raise InvalidSchedule(f"An instant needs a time zone, got {instant}.")
        return cls(When.AT, instant=instant.astimezone(UTC))

    @classmethod
    def every(cls, period: timedelta) -> "Schedule":
        """Run now and then every ``period``, start to start; a long run skips, never overlaps."""
        if not PERIOD_MIN <= period <= DELAY_MAX:
            raise InvalidSchedule(
                f"A period is between {PERIOD_MIN} and {DELAY_MAX.days} days, got {period}."
            )
        return cls(When.EVERY, duration=period)


_NOW = Schedule(When.NOW)
_NOW_SYNC = Schedule(When.NOW_SYNC)


class Descriptor(msgspec.Struct, frozen=True):
    """What identifies a task within its installation: any JSON value, in canonical form."""

    text: str
    LIMIT: ClassVar[int] = DESCRIPTOR_MAX

    @classmethod
    def of(cls, value: object) -> "Descriptor":
        """Take a JSON value (a descriptor stays what it is)."""
        if isinstance(value, Descriptor):
            return value
        text = canonical_json(value)
        if len(text) > DESCRIPTOR_MAX or "\\u0000" in text:
            raise InvalidSchedule(f"A descriptor has at most {DESCRIPTOR_MAX} characters and no NUL.")
        return cls(text)

    @property
    def value(self) -> object:
        """The JSON value."""
        return msgspec.json.decode(self.text)
