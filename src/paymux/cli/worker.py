"""``paymux worker``: a process that runs tasks, beside any number of others on one database."""

import typer

from paymux import bootstrap, settings
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
    with bootstrap.ground(chosen) as ground:
        run(_work(chosen, ground))


async def _work(chosen: settings.Settings, ground: bootstrap.Ground) -> None:
    stop = stop_signal()
    async with bootstrap.service(chosen, ground, worker=True):
        typer.echo("paymux worker is ready")
        await stop.wait()
