"""Metrics, as Prometheus reads them: what this process has counted, and what waits in the database."""

import asyncio
from collections.abc import Sequence
from typing import Any

from litestar import Response, get

from paymux.api.openapi.described import described
from paymux.api.requests import Injected, Parts
from paymux.observe.metrics import MEDIA_TYPE, Gauge
from paymux.storage import readings, sinks
from paymux.storage.database import LOST, DatabaseError

# A scraper gives up after ten; what the process counted itself must not be lost with the database.
_PATIENCE = 3.0


@get("/metrics")
@described(answer=str, media_type=MEDIA_TYPE)
async def metrics(parts: Injected) -> Response[bytes]:
    """Everything that is measured, as text."""
    try:
        async with asyncio.timeout(_PATIENCE):
            found = [Gauge("paymux_database_up", "Whether the database answers.", (), [((), 1)])]
            found += await _waiting(parts)
    except (*LOST, DatabaseError, TimeoutError):
        found = [Gauge("paymux_database_up", "Whether the database answers.", (), [((), 0)])]
    return Response(parts.instruments.metrics.text(found), media_type=MEDIA_TYPE)


async def _waiting(parts: Parts) -> list[Gauge]:
    database = parts.database
    outbox = await readings.outbox(database)
    tasks = await readings.tasks(database)
    due = await parts.engine.due(database)
    transfers = await readings.transfers(database)
    by_provider = [((row["provider"],), row) for row in tasks]
    return [
        Gauge(
            "paymux_outbox_events",
            f"Events that some sink does not have yet, up to {readings.COUNTED_MAX}.",
            (),
            [((), outbox["waiting"])],
        ),
        Gauge(
            "paymux_outbox_oldest_seconds",
            "Age of the oldest event that waits.",
            (),
            [((), outbox["oldest"])],
        ),
        *_sinks(await sinks.backlog(database)),
        Gauge(
            "paymux_installations",
            "Connectors that are installed.",
            ("provider",),
            [(labels, row["installations"]) for labels, row in by_provider],
        ),
        Gauge(
            "paymux_tasks_waiting",
            "Tasks that are due and wait for a place.",
            ("provider",),
            [(labels, row["waiting"]) for labels, row in by_provider],
        ),
        Gauge(
            "paymux_tasks_running",
            "Tasks that a worker runs.",
            ("provider",),
            [(labels, row["running"]) for labels, row in by_provider],
        ),
        Gauge(
            "paymux_tasks_waiting_oldest_seconds",
            "For how long the first in line has been due.",
            ("provider",),
            [(labels, max(row["oldest"] or 0, 0)) for labels, row in by_provider],
        ),
        *(
            Gauge(name, text, ("provider",), [((row["provider"],), row[column]) for row in transfers])
            for name, text, column in (
                ("paymux_transfers_unknown", "Orders to move money whose outcome is unknown.", "unknown"),
                ("paymux_transfers_stuck", "Those of them that a person has to decide on.", "stuck"),
            )
        ),
        Gauge("paymux_queue_jobs", "Jobs that are due and that no worker has taken.", (), [((), due.jobs)]),
        Gauge(
            "paymux_queue_oldest_seconds",
            "For how long the oldest of them has been due.",
            (),
            [((), due.oldest)],
        ),
    ]


def _sinks(rows: Sequence[Any]) -> list[Gauge]:
    about = {
        "waiting": ("paymux_sink_events", "Events that it does not have yet."),
        "oldest": ("paymux_sink_oldest_seconds", "Age of the oldest event that it does not have yet."),
        "refused": ("paymux_sink_refused_events", "Events that it has refused and that are offered again."),
        "dead": ("paymux_sink_dead_letters", "Events that it has refused and that were given up."),
    }
    up = Gauge(
        "paymux_sink_up",
        "Whether it took what was offered last.",
        ("sink",),
        [((row["name"],), int(row["error"] is None)) for row in rows],
    )
    return [
        up,
        *(
            Gauge(name, text, ("sink",), [((row["name"],), row[column]) for row in rows])
            for column, (name, text) in about.items()
        ),
    ]


HANDLERS = [metrics]
