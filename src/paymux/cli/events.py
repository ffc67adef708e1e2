"""``paymux events``: what was told, and events that a sink has refused."""

from typing import Annotated
from urllib.parse import quote

import typer

from paymux.cli.asking import URL, Everything, Json, Service, Url
from paymux.cli.tables import say, show_json, show_list, time

Sink = Annotated[str | None, typer.Option("--sink", help="Of this sink alone.")]
_LETTERS = "/events/dead-letters"

events = typer.Typer(
    help="Events, and those that a sink has refused.", no_args_is_help=True, rich_markup_mode=None
)


@events.command("list")
def list_(
    after: Annotated[str | None, typer.Option("--after", help="Behind this position.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Of these types, between commas.")] = None,
    everything: Everything = False,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """List events, oldest first."""
    asked = {name: said for name, said in (("after", after), ("type", kind)) if said}
    rows, more = Service(url).rows("/events", asked, everything=everything)
    show_list(
        rows,
        ("position", "date", "type", "key"),
        lambda row: (row["position"], time(row["date"]), row["type"], row["idempotencyKey"]),
        more=more,
        as_json=as_json,
    )


@events.command("dead-letters")
def dead_letters(
    sink: Sink = None,
    everything: Everything = False,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """List events that were refused and given up, newest first."""
    rows, more = Service(url).rows(_LETTERS, {"sink": sink} if sink else {}, everything=everything)
    show_list(
        rows,
        ("id", "sink", "type", "refused", "attempts", "reason"),
        lambda row: (
            row["id"], row["sink"], row["type"], time(row["refusedAt"]), row["attempts"], row["reason"]
        ),
        more=more,
        as_json=as_json,
    )  # fmt: skip


@events.command()
def requeue(
    letter: Annotated[str | None, typer.Argument(help="The dead letter's id.", metavar="LETTER")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them, instead of one.")] = False,
    sink: Sink = None,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Offer a dead letter again, or all of them."""
    if (letter is None) is not everything or (sink and letter):
        raise typer.BadParameter("name a dead letter, or say --all", param_hint="LETTER")
    service = Service(url)
    requeued = 0
    if letter is not None:
        requeued = service.post(f"{_LETTERS}/{letter}/requeue")["requeued"]
    else:
        path = f"{_LETTERS}/requeue" + (f"?sink={quote(sink, safe='')}" if sink else "")
        while count := service.post(path)["requeued"]:
            requeued += count
    if as_json:
        show_json({"requeued": requeued})
    else:
        say(f"{requeued} events are offered again.")
