"""Counts what happens in one process, for Prometheus.

Counting stands in the way of every run, page and request, so it is an addition in a dictionary and
no more; what Prometheus wants of it is made when somebody looks. All of it happens on the event loop's
thread, so nothing here is locked. Every service has its own: there is no registry of the process.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

# Prometheus' own text format, in UTF-8, which every scraper reads.
MEDIA_TYPE = "text/plain; version=0.0.4"
# Label values come from code and never from data; should a connector make them up, this ends it.
SERIES_MAX = 1_000
OTHER = "other"

# Upper bounds in seconds: of a connector's work, of a request, of waiting in line, of a page's commit.
_RUN = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
_REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAG = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_PAGE = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

Labels = tuple[str, ...]
# A value for each combination of labels.
Samples = Iterable[tuple[Labels, float]]


class Gauge(msgspec.Struct, frozen=True):
    """What something amounts to at the moment."""

    name: str
    meaning: str
    labels: Labels
    samples: Samples


class Counter:
    """What has happened so far, by labels."""

    def __init__(self, name: str, meaning: str, *labels: str) -> None:
        self._about = name, meaning, labels
        self._values: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Count."""
        values = self._values
        if labels not in values and len(values) >= SERIES_MAX:
            labels = (OTHER,) * len(labels)
        values[labels] = values.get(labels, 0) + amount

    def collect(self) -> Metric:
        """As Prometheus wants it."""
        name, meaning, labels = self._about
        family = CounterMetricFamily(name, meaning, labels=labels)
        for values, amount in self._values.items():
            family.add_metric(values, amount)
        return family


class _Spread:
    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0


class Histogram:
    """How long things took, by labels."""

    def __init__(self, name: str, meaning: str, bounds: Sequence[float], *labels: str) -> None:
        self._about = name, meaning, labels
        self._bounds = bounds
        self._spreads: dict[Labels, _Spread] = {}

    def add(self, labels: Labels, seconds: float) -> None:
        """Count one that took so long."""
        spread = self._spreads.get(labels)
        if spread is None:
            if len(self._spreads) >= SERIES_MAX:
                labels = (OTHER,) * len(labels)
            spread = self._spreads.setdefault(labels, _Spread(len(self._bounds)))
        spread.counts[bisect_left(self._bounds, seconds)] += 1
        spread.total += seconds

    def collect(self) -> Metric:
        """As Prometheus wants it: each bucket holds those below it as well."""
        name, meaning, labels = self._about
        family = HistogramMetricFamily(name, meaning, labels=labels)
        for values, spread in self._spreads.items():
            buckets, so_far = [], 0
            for bound, count in zip(
                (*map(str, map(float, self._bounds)), "+Inf"), spread.counts, strict=True
            ):
                so_far += count
                buckets.append((bound, float(so_far)))
            family.add_metric(values, buckets, spread.total)
        return family


class Metrics:
    """The metrics of one service; docs/reference/metrics.md lists them."""

    def __init__(self, version: str = "") -> None:
        self._version = version
        work = ("provider", "task")
        self._runs = Counter("paymux_runs", "Runs that ended, by how.", *work, "outcome")
        self._retries = Counter(
            "paymux_run_retries", "Runs that were another attempt after a failure.", *work
        )
        self._run_time = Histogram("paymux_run_duration_seconds", "How long runs took.", _RUN, *work)
        self._lag = Histogram(
            "paymux_run_lag_seconds", "From when a run was due to its start.", _LAG, "provider"
        )
        self._seen = Counter("paymux_records_seen", "Records that connectors brought in.", "provider", "kind")
        self._records = Counter("paymux_records", "What became of records.", "provider", "outcome")
        self._page_time = Histogram("paymux_page_commit_seconds", "How long commits of pages took.", _PAGE)
        self._requests = Counter("paymux_http_requests", "Requests.", "method", "route", "status")
        self._request_time = Histogram(
            "paymux_http_request_duration_seconds", "How long requests took.", _REQUEST, "method", "route"
        )
        self._gauges: list[Callable[[], Gauge]] = []
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def run(
        self, provider: str, task: str, outcome: str, seconds: float, *, attempts: int, lag: float | None
    ) -> None:
        """Count a run that ended; ``attempts`` are the failures before it, ``lag`` its seconds in line."""
        self._runs.add((provider, task, outcome))
        self._run_time.add((provider, task), seconds)
        if attempts:
            self._retries.add((provider, task))
        if lag is not None:
            self._lag.add((provider,), max(lag, 0))

    def page(self, seconds: float) -> None:
        """Count a page's commit."""
        self._page_time.add((), seconds)

    def records(self, provider: str, kinds: Mapping[str, int], outcomes: Mapping[str, int]) -> None:
        """Count the records of a page that was committed, by kind and by what became of them."""
        for kind, count in kinds.items():
            if count:
                self._seen.add((provider, kind), count)
        for outcome, count in outcomes.items():
            if count:
                self._records.add((provider, outcome), count)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered; ``route`` is a template, never a path."""
        self._requests.add((method, route, str(status)))
        self._request_time.add((method, route), seconds)

    def gauge(self, read: Callable[[], Gauge]) -> None:
        """Read this one whenever somebody looks."""
        self._gauges.append(read)

    def text(self, readings: Iterable[Gauge] = ()) -> bytes:
        """Everything as text, with ``readings`` that were taken for the occasion."""
        return generate_latest(_Whole(self._registry, readings))

    def collect(self) -> Iterator[Metric]:
        """As a registry of Prometheus' library asks for it."""
        info = InfoMetricFamily("paymux", "Which paymux this is.")
        info.add_metric((), {"version": self._version})
        yield info
        for family in (
            self._runs, self._retries, self._run_time, self._lag, self._seen, self._records, self._page_time,
            self._requests, self._request_time,
        ):  # fmt: skip
            yield family.collect()
        yield from (_gauge(read()) for read in self._gauges)


class _Whole:
    """What the registry holds and what was read for the occasion, as one."""

    def __init__(self, registry: CollectorRegistry, readings: Iterable[Gauge]) -> None:
        self._registry = registry
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()
        yield from map(_gauge, self._readings)


def _gauge(gauge: Gauge) -> Metric:
    family = GaugeMetricFamily(gauge.name, gauge.meaning, labels=gauge.labels)
    for labels, value in gauge.samples:
        family.add_metric(labels, value)
    return family
