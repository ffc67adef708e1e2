"""What the rooms are given to be seen by: metrics and traces of one service, and what they tell of work."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from types import TracebackType
from typing import Self

import msgspec
from opentelemetry.trace import Span

from paymux.observe.metrics import Metrics
from paymux.observe.traces import Traces, failed

# Nothing of what such a run did was written: another one has its task, or the installation is gone.
LOST = "LOST"
# Where the run ended before it was known what it runs.
UNKNOWN = "unknown"
# What becomes of records.
BECAME = ("added", "changed", "unchanged", "set_aside")


class Instruments(msgspec.Struct, frozen=True):
    """Metrics and traces; by default of nobody else, and without traces."""

    metrics: Metrics = msgspec.field(default_factory=Metrics)
    traces: Traces = msgspec.field(default_factory=Traces)

    def run(self, task_id: object, attempts: int, delay: timedelta | None = None) -> "RunSeen":
        """Around a run that had been due for ``delay``.

        What it was and how it ended is said in between, with ``ended``.
        """
        return RunSeen(self, task_id, attempts, delay)

    def page(self) -> "PageSeen":
        """Around a page's commit. What was in it is said afterwards, with ``held``."""
        return PageSeen(self)


class RunSeen:
    """A run that is looked at."""

    def __init__(
        self, instruments: Instruments, task_id: object, attempts: int, delay: timedelta | None
    ) -> None:
        self.provider = UNKNOWN
        self.task = UNKNOWN
        self._instruments = instruments
        self._attempts = attempts
        self._lag = None if delay is None else delay.total_seconds()
        self._ended: tuple[str, float] | None = None
        self._error: str | None = None
        self._span: Span | None = None
        self._around: AbstractContextManager[Span | None] = (
            instruments.traces.span("run", {"paymux.task_id": str(task_id), "paymux.attempts": attempts})
            if instruments.traces.on
            else instruments.traces.span("run", {})
        )
        self._start = time.perf_counter()

    def __enter__(self) -> Self:
        self._span = self._around.__enter__()
        return self

    def ended(self, outcome: str, error: str | None = None) -> None:
        """Say how; its bookkeeping may follow. ``error`` has been masked."""
        self._ended = outcome, time.perf_counter()
        self._error = error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome, end = self._ended or (LOST, time.perf_counter())
        if kind is not None:
            outcome = LOST
        self._instruments.metrics.run(
            self.provider, self.task, outcome, end - self._start, attempts=self._attempts, lag=self._lag
        )
        if self._span is not None:
            self._span.update_name(f"run {self.task}")
            self._span.set_attributes(
                {"paymux.provider": self.provider, "paymux.task": self.task, "paymux.outcome": outcome}
            )
            if outcome == "FAILED":
                failed(self._span, self._error or "")
        self._around.__exit__(kind, error, trace)


class PageSeen:
    """A page's commit that is looked at."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._span: Span | None = None
        self._around = instruments.traces.span("commit page", {})
        self._start = time.perf_counter()

    def __enter__(self) -> Self:
        self._span = self._around.__enter__()
        return self

    def held(self, provider: str, kinds: Mapping[str, int], became: tuple[int, int, int, int]) -> None:
        """Say what was in it, as it was committed: ``became`` as in ``BECAME``."""
        outcomes = dict(zip(BECAME, became, strict=True))
        self._instruments.metrics.records(provider, kinds, outcomes)
        if self._span is not None:
            self._span.set_attributes({f"paymux.{outcome}": count for outcome, count in outcomes.items()})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._instruments.metrics.page(time.perf_counter() - self._start)
        self._around.__exit__(kind, error, trace)
