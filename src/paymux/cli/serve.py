"""``paymux serve``: the whole service in one process, on an embedded database unless told otherwise."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.  [default: 8080]")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the embedded database lives.  [default: ./paymux-data]")
    ] = None,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Only answer requests; run no tasks.")
    ] = False,
) -> None:
    """Answer requests, run tasks and tell events.

    On an embedded PostgreSQL in the data directory, or on the server that PAYMUX_DATABASE_URL names.
    """
    from paymux.cli import service

    service.serve(host=host, port=port, data_dir=data_dir, worker=not no_worker)
