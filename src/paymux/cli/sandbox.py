"""``paymux sandbox``: a payment provider that never was, for trying things out."""

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from paymux.cli.listening import listen, url_of

if TYPE_CHECKING:
    from paymux.sandbox.menu import Misbehaviour

_HOST = "127.0.0.1"

_TRY = """\
Connect it:
  curl -X POST http://127.0.0.1:8080/connectors/dummypay -d '{{"url": "{url}", "apiKey": "{key}", "pollingPeriod": "2s"}}'
Let a payment happen, then order trouble, then look into its books:
  curl -X POST {url}/_more -d '{{"payments": 1}}'
  curl -X POST {url}/_misbehave -d '{{"probability": {{"drop-after": 0.5}}}}'
  curl {url}/_books"""  # noqa: E501 - commands to be copied whole


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8090,
    seed: Annotated[
        int, typer.Option(help="What happened, and which calls go wrong; the same for the same seed.")
    ] = 0,
    payments: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="How many payments have happened already.")
    ] = 100,
    misbehave: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PROBABILITY", help="Go wrong in this way by this chance, such as drop-after=0.2."
        ),
    ] = None,
) -> None:
    """Start a payment provider that never was.

    On this machine alone, for trying things out; it misbehaves when told to.
    """
    from paymux.sandbox.server import API_KEY, Sandbox

    chances = dict(map(_chance, misbehave or ()))
    # Kept from the server's thread, so that this one is told.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with listen(_HOST, port, "Choose another --port.") as listener:
        url = url_of(_HOST, listener)
        with Sandbox(listener=listener, seed=seed, payments=payments, probability=chances):
            typer.echo(f"paymux sandbox is ready at {url}")
            typer.echo(_TRY.format(url=url, key=API_KEY))
            signal.sigwait({signal.SIGINT, signal.SIGTERM})


def _chance(text: str) -> "tuple[Misbehaviour, float]":
    from paymux.sandbox.menu import Misbehaviour

    name, _, chance = text.partition("=")
    if name not in list(Misbehaviour):
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(Misbehaviour)}")
    try:
        probability = float(chance)
    except ValueError:
        probability = -1
    if not 0 <= probability <= 1:
        raise typer.BadParameter(f"{name} needs a probability from 0 to 1, such as {name}=0.2")
    return Misbehaviour(name), probability
