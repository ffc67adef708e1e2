"""What is counted and traced of runs and pages, on the real engine."""

import asyncio
from datetime import UTC, datetime

from httpx import ASGITransport, AsyncClient
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.runtime.conftest import Probe, Site, Start, act

from paymux.observe.instruments import Instruments
from paymux.observe.metrics import Metrics
from paymux.observe.traces import Traces
from paymux.sdk import (
    Account,
    AccountType,
    Amount,
    Asset,
    Payment,
    PaymentStatus,
    PaymentType,
    SetAside,
    TaskContext,
    TryAgain,
)
from paymux.storage import events


def _counted(site: Site, name: str) -> dict[frozenset[str], float]:
    """Samples of one name, by the values of their labels."""
    families = text_string_to_metric_families(site.service.instruments.metrics.text().decode())
    return {
        frozenset(sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


def _payment(reference: str, amount: int = 100) -> Payment:
    return Payment(
        reference=reference, type=PaymentType.TRANSFER, status=PaymentStatus.SUCCEEDED,
        amount=Amount.from_minor(amount, Asset.parse("EUR/2")), created_at=datetime(2020, 1, 1, tzinfo=UTC),
        raw=b"{}",
    )  # fmt: skip


async def test_runs_are_counted_by_how_they_ended(start: Start, probe: type[Probe]) -> None:
    """One that fails and tries again until it goes well: each run, and which of them were retries."""

    async def twice_bad(ctx: TaskContext) -> None:
        del ctx
        if probe.runs("flaky") <= 2:
            raise TryAgain("not yet")

    probe.acts["flaky"] = twice_bad
    site = await (await start(probe)).install()
    await site.schedule(act("flaky"))
    await site.schedule(act("fine"))
    await site.reached(act("flaky"), "TERMINATED")
    await site.reached(act("fine"), "TERMINATED")
    # Counted a moment after it is written down.
    await site.until(lambda: sum(_counted(site, "paymux_runs_total").values()) == 4)

    runs = _counted(site, "paymux_runs_total")
    assert runs == {
        frozenset({"PROBE", "act", "FAILED"}): 2,
        frozenset({"PROBE", "act", "SUCCEEDED"}): 2,
    }
    assert _counted(site, "paymux_run_retries_total") == {frozenset({"PROBE", "act"}): 2}
    assert _counted(site, "paymux_run_duration_seconds_count") == {frozenset({"PROBE", "act"}): 4}


async def test_lag_is_from_due_to_start(start: Start, probe: type[Probe]) -> None:
    """Also of those that waited in line for a place, whoever begins them."""
    held = asyncio.Event()

    async def hold(ctx: TaskContext) -> None:
        del ctx
        await held.wait()

    probe.max_tasks = 1
    probe.acts["first"] = hold
    site = await (await start(probe)).install()
    keys = ("first", "second", "third")
    for key in keys:
        await site.schedule(act(key))
    await site.until(lambda: probe.runs("first") == 1)
    await asyncio.sleep(0.3)
    held.set()
    for key in keys:
        await site.reached(act(key), "TERMINATED")

    await site.until(lambda: list(_counted(site, "paymux_run_lag_seconds_count").values()) == [3])
    (total,) = _counted(site, "paymux_run_lag_seconds_sum").values()
    assert total >= 2 * 0.3


async def test_a_task_that_is_none_is_counted_as_unknown(start: Start, probe: type[Probe]) -> None:
    """What a descriptor says becomes no label."""
    site = await (await start(probe)).install()
    await site.schedule({"made up 123": {}})
    await site.reached({"made up 123": {}}, "FAILED")
    await site.until(lambda: bool(_counted(site, "paymux_runs_total")))

    assert _counted(site, "paymux_runs_total") == {frozenset({"PROBE", "unknown", "FAILED"}): 1}


async def test_records_are_counted_by_kind_and_by_what_became_of_them(
    start: Start, probe: type[Probe]
) -> None:
    """The same page again brings nothing new, and what changed is told apart."""
    amounts = iter([100, 100, 250])

    async def bring(ctx: TaskContext) -> None:
        await ctx.ingest(
            accounts=[Account(reference="a", type=AccountType.INTERNAL, name="A")],
            payments=[
                _payment("p"),
                _payment("q", next(amounts)),
                SetAside(kind="payment", reason="no amount", raw="{}"),
            ],
        )

    probe.acts["bring"] = bring
    site = await (await start(probe)).install()
    for _ in range(3):
        await site.schedule(act("bring"))
        await site.reached(act("bring"), "TERMINATED")

    assert _counted(site, "paymux_records_seen_total") == {
        frozenset({"PROBE", "account"}): 3,
        frozenset({"PROBE", "payment"}): 6,
    }
    assert _counted(site, "paymux_records_total") == {
        frozenset({"PROBE", "added"}): 3,
        frozenset({"PROBE", "changed"}): 1,
        frozenset({"PROBE", "unchanged"}): 5,
        frozenset({"PROBE", "set_aside"}): 3,
    }
    assert _counted(site, "paymux_page_commit_seconds_count")[frozenset()] == 3


async def test_what_waits_is_read_from_the_database(start: Start, probe: type[Probe]) -> None:
    """Without a worker: the queue's depth, the line for places, and events that nobody was told."""
    probe.max_tasks = 1
    site = await (await start(probe, worker=False)).install()
    for key in "abc":
        await site.schedule(act(key))

    found = await _read(site)

    assert found["paymux_database_up"] == 1
    assert found["paymux_queue_jobs"] == 1
    assert 0 <= found["paymux_queue_oldest_seconds"] < 60
    assert found["paymux_tasks_waiting"] == 2
    assert 0 < found["paymux_tasks_waiting_oldest_seconds"] < 60
    assert found["paymux_tasks_running"] == 0
    assert found["paymux_installations"] == 1
    assert found["paymux_outbox_events"] == 1
    assert 0 < found["paymux_outbox_oldest_seconds"] < 60
    most = _counted(site, "paymux_database_connections_max")
    assert {pool: most[frozenset({pool})] for pool in ("data", "bookkeeping")} == {
        "data": 10, "bookkeeping": 10
    }  # fmt: skip

    other = await start(probe)
    for key in "abc":
        await site.reached(act(key), "TERMINATED")
    await events.line_up(site.database)
    await site.database.execute("UPDATE sink SET position = last FROM outbox")

    found = await _read(other)
    assert (found["paymux_queue_jobs"], found["paymux_tasks_waiting"], found["paymux_outbox_events"]) == (
        0, 0, 0
    )  # fmt: skip


async def test_what_was_counted_outlives_the_database(start: Start, probe: type[Probe]) -> None:
    """A scrape is answered, and says that the database is away."""
    site = await (await start(probe)).install()
    await site.schedule(act("a"))
    await site.reached(act("a"), "TERMINATED")
    await site.database.close()

    found = await _read(site)

    assert found["paymux_database_up"] == 0
    assert found["paymux_runs_total"] == 1
    assert "paymux_outbox_events" not in found


async def _read(site: Site) -> dict[str, float]:
    """What GET /metrics says; of several samples of one name, the last."""
    transport = ASGITransport(app=site.service.app)
    async with AsyncClient(transport=transport, base_url="http://paymux") as http:
        answer = await http.get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {sample.name: sample.value for family in families for sample in family.samples}


async def test_a_run_and_its_pages_are_one_trace(start: Start, probe: type[Probe]) -> None:
    """Also from a thread; an error is told with its secrets masked."""

    async def good(ctx: TaskContext) -> None:
        await ctx.ingest(payments=[_payment("loop")])

    def threaded(ctx: TaskContext) -> None:
        _ = ctx.ingest(payments=[_payment("thread")])

    async def bad(ctx: TaskContext) -> None:
        del ctx
        raise ValueError("the provider said hunter2-hunter2")

    probe.acts |= {"good": good, "bad": bad}
    probe.plain["threaded"] = threaded
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    site = await start(probe, instruments=Instruments(Metrics(), Traces(provider)))
    site.mask.add({"hunter2-hunter2"})
    await site.install()
    thread = {"thread": {"key": "threaded"}}
    for descriptor, status in (act("good"), "TERMINATED"), (thread, "TERMINATED"), (act("bad"), "FAILED"):
        await site.schedule(descriptor)
        await site.reached(descriptor, status)
    await site.until(lambda: len(exporter.get_finished_spans()) == 5)

    spans = exporter.get_finished_spans()
    runs = {_attribute(span, "paymux.task_id"): span for span in spans if span.name.startswith("run ")}
    pages = [span for span in spans if span.name == "commit page"]
    assert {span.name for span in runs.values()} == {"run act", "run thread"}
    assert {_parent(page) for page in pages} == {
        _id(runs[str(site.id(act("good")))]),
        _id(runs[str(site.id(thread))]),
    }
    assert [_attribute(page, "paymux.added") for page in pages] == [1, 1]
    failed = runs[str(site.id(act("bad")))]
    assert failed.status.status_code is StatusCode.ERROR
    assert "hunter2" not in "".join(span.to_json() for span in spans)
    assert failed.status.description == "ValueError: the provider said ********"


def _attribute(span: ReadableSpan, name: str) -> object:
    assert span.attributes is not None
    return span.attributes[name]


def _id(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def _parent(span: ReadableSpan) -> int:
    assert span.parent is not None
    return int(span.parent.span_id)
