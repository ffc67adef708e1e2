"""The commands, one file a verb.

A command imports what it needs where it needs it, so that none waits for what only others use.
"""

import sys
from typing import Annotated

import typer

from paymux import __version__
from paymux.cli.asking import Failed
from paymux.cli.connectors import connectors
from paymux.cli.events import events
from paymux.cli.health import health
from paymux.cli.migrate import migrate
from paymux.cli.reseal import reseal
from paymux.cli.sandbox import sandbox
from paymux.cli.serve import serve
from paymux.cli.set_aside import set_aside
from paymux.cli.tasks import tasks
from paymux.cli.token import token
from paymux.cli.transfers import transfers
from paymux.cli.worker import worker

app = typer.Typer(
    name="paymux",
    help="Connects payment providers and banks to one record of money.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(serve)
app.command()(worker)
app.command()(migrate)
app.command()(reseal)
app.command()(health)
app.command()(sandbox)
app.add_typer(connectors, name="connectors")
app.add_typer(tasks, name="tasks")
app.add_typer(set_aside, name="set-aside")
app.add_typer(transfers, name="transfers")
app.add_typer(events, name="events")
app.add_typer(token, name="token")


def _version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        typer.echo(f"paymux {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Connects payment providers and banks to one record of money."""


def main() -> None:
    """Run a command; what the operator can mend is said in a sentence, without a traceback."""
    try:
        app()
    except (Failed, OSError) as error:
        typer.echo(f"paymux: {error}", err=True)
        sys.exit(1)
