"""``paymux set-aside``: records that could not be understood, and taking them in again."""

from typing import Annotated

import typer

from paymux.cli.asking import URL, Connector, Json, Service, Url, at
from paymux.cli.tables import say, show_json, show_table, time

set_aside = typer.Typer(
    help="Records that could not be understood, and replaying them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@set_aside.command("list")
def list_(
    connector: Connector = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All of them; a hundred an installation otherwise.")
    ] = False,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """List the records that were set aside, newest first."""
    service = Service(url)
    where = service.installations() if connector is None else [service.installation(connector)]
    found, more = [], False
    for installation in where:
        rows, left = service.rows(at(installation, "set-aside"), {}, everything=everything)
        found += [(installation, row) for row in rows]
        more |= left
    if as_json:
        show_json([row for _, row in found])
    else:
        columns = ("id", "installation", "kind", "seen", "last seen", "replayed", "reason")
        show_table(
            columns,
            [
                (
                    row["id"], installation["name"], row["kind"], row["seen"], time(row["lastSeenAt"]),
                    time(row.get("replayedAt")), row["reason"],
                )
                for installation, row in found
            ],
        )  # fmt: skip
    if more:
        say("There are more: --all shows them.")


@set_aside.command()
def replay(
    record: Annotated[str | None, typer.Argument(help="The record's id.", metavar="RECORD")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that were not replayed yet, instead of one.")
    ] = False,
    connector: Annotated[
        str | None,
        typer.Option("--connector", help="The installation; may be left out when there is only one."),
    ] = None,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Take a record in again, or all of an installation."""
    if (record is None) is not everything:
        raise typer.BadParameter("name a record, or say --all", param_hint="RECORD")
    service = Service(url)
    installation = service.installation(connector)
    rest = ("set-aside", "replay") if record is None else ("set-aside", record, "replay")
    answer = service.post(at(installation, *rest))
    if as_json:
        show_json(answer)
    elif record is None:
        say(f"{answer['replaying']} records of {installation['name']} are being replayed.")
    else:
        say(f"{record} of {installation['name']} is replayed.")
