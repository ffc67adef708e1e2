"""``paymux worker``: a process that runs tasks, beside any number of others on one database."""

import contextlib
import socket

import typer

from paymux import bootstrap, settings
from paymux.cli.listening import listen, serving, url_of
from paymux.cli.running import run, stop_signal


def worker() -> None:
    """Run tasks. Any number of workers, on any machines, share the work of one database."""
    chosen = settings.read()
    if chosen.database_url is None:
        typer.echo(
            "paymux: a worker needs PAYMUX_DATABASE_URL; on the embedded database, serve is the worker.",
            err=True,
        )
        raise typer.Exit(1)
    with contextlib.ExitStack() as stack:
        listener = None
        if chosen.metrics_port is not None:
            listener = stack.enter_context(
                listen(chosen.host, chosen.metrics_port, "Choose another PAYMUX_METRICS_PORT.")
            )
        run(_work(chosen, stack.enter_context(bootstrap.ground(chosen)), listener))


async def _work(chosen: settings.Settings, ground: bootstrap.Ground, listener: socket.socket | None) -> None:
    stop = stop_signal()
    async with (
        bootstrap.service(chosen, ground, worker=True) as service,
        contextlib.AsyncExitStack() as stack,
    ):
        where = ""
        if listener is not None:
            await stack.enter_async_context(serving(service.watched, listener))
            where = f"; its metrics are at {url_of(chosen.host, listener)}/metrics"
        typer.echo(f"paymux worker is ready{where}")
        await stop.wait()
