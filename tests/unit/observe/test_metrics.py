"""Counting, and what Prometheus makes of it."""

from bisect import bisect_left
from collections import Counter as Tally

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from paymux.observe.metrics import OTHER, SERIES_MAX, Counter, Gauge, Histogram, Metrics

BOUNDS = (0.1, 1, 10)


def _samples(metrics: Metrics, *readings: Gauge) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(metrics.text(readings).decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def _of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


@given(st.lists(st.one_of(st.sampled_from((*BOUNDS, 0.0)), st.floats(0, 100))))
def test_a_histogram_holds_what_was_added(values: list[float]) -> None:
    """A value on a bound is within it; each bucket holds those below as well; count and sum are all."""
    histogram = Histogram("seconds", "Seconds.", BOUNDS, "of")
    for value in values:
        histogram.add(("it",), value)

    found = {(sample.name, sample.labels.get("le")): sample.value for sample in histogram.collect().samples}

    if not values:
        assert found == {}
        return
    for bound in BOUNDS:
        assert found["seconds_bucket", str(float(bound))] == sum(value <= bound for value in values)
    assert found["seconds_bucket", "+Inf"] == found["seconds_count", None] == len(values)
    assert abs(found["seconds_sum", None] - sum(values)) < 1e-6


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(1, 5))))
def test_a_counter_adds_up(added: list[tuple[str, int]]) -> None:
    """By labels, whatever their text."""
    counter, expected = Counter("things", "Things.", "kind"), Tally[str]()
    for kind, amount in added:
        counter.add((kind,), amount)
        expected[kind] += amount

    assert {sample.labels["kind"]: sample.value for sample in counter.collect().samples} == dict(expected)


def test_labels_are_bounded() -> None:
    """A connector that makes up labels costs one series more, and nothing is lost from the sum."""
    counter = Counter("things", "Things.", "kind", "size")
    histogram = Histogram("seconds", "Seconds.", BOUNDS, "kind")
    for number in range(SERIES_MAX + 50):
        counter.add((str(number), "x"))
        histogram.add((str(number),), 0.5)

    counted = counter.collect().samples
    assert len(counted) == SERIES_MAX + 1
    assert sum(sample.value for sample in counted) == SERIES_MAX + 50
    assert [sample.value for sample in counted if sample.labels == {"kind": OTHER, "size": OTHER}] == [50]
    spread = [sample for sample in histogram.collect().samples if sample.name == "seconds_count"]
    assert {sample.labels["kind"]: sample.value for sample in spread}[OTHER] == 50
    assert bisect_left(BOUNDS, 0.5) == 1


def test_what_is_counted_is_shown() -> None:
    """Each of the things that happen, under its name and labels, in text that Prometheus reads."""
    metrics = Metrics("1.2.3")
    metrics.run("ACME", "scan", "SUCCEEDED", 0.2, attempts=0, lag=0.02)
    metrics.run("ACME", "scan", "FAILED", 0.4, attempts=3, lag=None)
    metrics.records("ACME", {"payment": 3, "account": 0}, {"added": 2, "set_aside": 1, "changed": 0})
    metrics.page(0.01)
    metrics.request("GET", "/payments/{payment}", 404, 0.003)
    level = [1.0]
    metrics.gauge(lambda: Gauge("level", "Level.", ("of",), [(("it",), level[0])]))
    level[0] = 7.0

    found = _samples(metrics, Gauge("reading", "Reading.", (), [((), 5)]))

    assert found[_of("paymux_info", version="1.2.3")] == 1
    assert found[_of("paymux_runs_total", provider="ACME", task="scan", outcome="SUCCEEDED")] == 1
    assert found[_of("paymux_runs_total", provider="ACME", task="scan", outcome="FAILED")] == 1
    assert found[_of("paymux_run_duration_seconds_count", provider="ACME", task="scan")] == 2
    assert found[_of("paymux_run_retries_total", provider="ACME", task="scan")] == 1
    assert found[_of("paymux_run_lag_seconds_count", provider="ACME")] == 1
    assert found[_of("paymux_records_seen_total", provider="ACME", kind="payment")] == 3
    assert _of("paymux_records_seen_total", provider="ACME", kind="account") not in found
    assert found[_of("paymux_records_total", provider="ACME", outcome="added")] == 2
    assert found[_of("paymux_page_commit_seconds_count")] == 1
    route = {"method": "GET", "route": "/payments/{payment}"}
    assert found[_of("paymux_http_requests_total", **route, status="404")] == 1
    assert found[_of("level", of="it")] == 7
    assert found[_of("reading")] == 5


def test_two_services_in_one_process_count_apart() -> None:
    """Nothing is kept beside the object."""
    one, other = Metrics(), Metrics()
    one.page(1)

    assert _samples(one)[_of("paymux_page_commit_seconds_count")] == 1
    assert _of("paymux_page_commit_seconds_count") not in _samples(other)
