"""``paymux health``: how a running service is, or one of its installations."""

from typing import Annotated, Any

import typer

from paymux.cli.asking import URL, Json, Service, Url, at
from paymux.cli.tables import show_fields, show_json, show_table, time


def health(
    connector: Annotated[
        str | None,
        typer.Argument(help="An installation; without it, the whole service.", metavar="CONNECTOR"),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="End with 1 unless the status is ok.")] = False,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Say how a running service is, or one of its installations."""
    service = Service(url)
    if connector is None:
        found = service.get("/health")
        show = _whole
    else:
        found = service.get(at(service.installation(connector), "health"))
        show = _one
    if as_json:
        show_json(found)
    else:
        show(found)
    if check and found["status"] != "ok":
        raise typer.Exit(1)


def _whole(found: dict[str, Any]) -> None:
    events = found["events"]
    waiting = str(events["waiting"])
    if events["waiting"]:
        waiting += f", the oldest for {events['oldestSeconds'] or 0:.0f} s"
    money = found["transfers"]
    unknown = str(money["unknown"])
    if money["needsPerson"]:
        unknown += f", of which {money['needsPerson']} wait for you: paymux transfers unknown"
    show_fields({"status": found["status"], "transfers unknown": unknown, "events waiting": waiting})
    if failing := [row for row in events["sinks"] if row["error"] or row["deadLetters"]]:
        typer.echo()
        sinks = [(row["name"], row["waiting"], row["deadLetters"], row["error"] or "") for row in failing]
        show_table(("sink", "waiting", "dead letters", "error"), sinks)
    if found["installations"]:
        typer.echo()
        rows = [(row["name"], row["provider"], row["status"]) for row in found["installations"]]
        show_table(("installation", "provider", "status"), rows)


def _one(found: dict[str, Any]) -> None:
    tasks = ", ".join(f"{count} {status}" for status, count in found["tasks"].items() if count)
    lag = found["lagSeconds"]
    show_fields(
        {
            "status": found["status"],
            "error": found.get("error"),
            "last success": time(found["lastSuccessAt"]),
            "next run": time(found["nextRunAt"]),
            "lag": "" if lag is None else f"{lag:.0f} s",
            "tasks": tasks,
            "set aside": found["setAside"],
        }
    )
    if found["failing"]:
        typer.echo()
        rows = [
            (row["taskID"], row["name"], row["attempts"], time(row["nextRunAt"]), row["error"])
            for row in found["failing"]
        ]
        show_table(("task", "name", "attempts", "next run", "error"), rows)
