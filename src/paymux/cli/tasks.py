"""``paymux tasks``: what a running service works at, and stepping in."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import typer

from paymux.cli.asking import URL, Connector, Everything, Failed, Json, NoSuchThing, Service, Url, at
from paymux.cli.tables import (
    say,
    show_fields,
    show_json,
    show_list,
    task_name,
    task_status,
    task_text,
    time,
)

Named = Annotated[str, typer.Argument(help="Its id, or its name when only one task has it.", metavar="TASK")]
_STATUSES = ("PENDING", "ACTIVE", "TERMINATED", "FAILED", "STOPPED")

tasks = typer.Typer(
    help="What a running service works at, and stepping in.", no_args_is_help=True, rich_markup_mode=None
)


@tasks.command("list")
def list_(
    *,
    status: Annotated[str | None, typer.Option(help=f"One of {', '.join(_STATUSES)}.")] = None,
    name: Annotated[str | None, typer.Option(help="What the task's descriptor calls it.")] = None,
    connector: Connector = None,
    everything: Everything = False,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """List tasks, newest first."""
    if status is not None and status.upper() not in _STATUSES:
        raise typer.BadParameter(f"must be one of {', '.join(_STATUSES)}", param_hint="--status")
    service = Service(url)
    asked = {"status": status.upper() if status else None, "name": name}
    params = {key: value for key, value in asked.items() if value is not None}
    path = "/tasks" if connector is None else at(service.installation(connector), "tasks")
    found, more = service.rows(path, params, everything=everything)
    names = {} if as_json else {row["connectorID"]: row["name"] for row in service.installations()}
    show_list(
        found,
        ("id", "task", "installation", "status", "next run", "attempts", "error"),
        lambda task: (
            task["id"], task_text(task), names.get(task["connectorID"], ""), task_status(task),
            time(task["nextRunAt"]), task["attempts"], task["error"],
        ),
        more=more,
        as_json=as_json,
    )  # fmt: skip


@tasks.command()
def show(task: Named, connector: Connector = None, url: Url = URL, as_json: Json = False) -> None:
    """Show a task."""
    _show(_find(Service(url), task, connector)[1], as_json=as_json)


@tasks.command()
def runs(
    task: Named,
    connector: Connector = None,
    everything: Everything = False,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """List the runs of a task, latest first."""
    service = Service(url)
    installation, found = _find(service, task, connector)
    listed, more = service.rows(at(installation, "tasks", found["id"], "runs"), {}, everything=everything)
    show_list(
        listed,
        (
            "run", "started", "ms", "outcome", "seen", "added", "changed", "unchanged", "set aside", "error",
        ),
        lambda run: (
            run["id"], time(run["startedAt"]), run["durationMs"], run["outcome"], run["seen"],
            run["added"], run["changed"], run["unchanged"], run["setAside"], run["error"],
        ),
        more=more,
        as_json=as_json,
    )  # fmt: skip


@tasks.command()
def run(task: Named, connector: Connector = None, url: Url = URL, as_json: Json = False) -> None:
    """Run a task now, whatever its schedule.

    One that is running is run once more afterwards.
    """
    _do(url, task, connector, "run", as_json=as_json)


@tasks.command()
def pause(task: Named, connector: Connector = None, url: Url = URL, as_json: Json = False) -> None:
    """Stop a task until it is resumed."""
    _do(url, task, connector, "pause", as_json=as_json)


@tasks.command()
def resume(task: Named, connector: Connector = None, url: Url = URL, as_json: Json = False) -> None:
    """Let a paused task run again, by its schedule."""
    _do(url, task, connector, "resume", as_json=as_json)


@tasks.command()
def cancel(task: Named, connector: Connector = None, url: Url = URL, as_json: Json = False) -> None:
    """Stop the run that is under way, or a task that is due.

    A periodic task goes on by its schedule; pause it to keep it from running.
    """
    _do(url, task, connector, "cancel", as_json=as_json)


def _do(url: str, task: str, connector: str | None, verb: str, *, as_json: bool) -> None:
    service = Service(url)
    installation, found = _find(service, task, connector)
    changed = service.post(at(installation, "tasks", found["id"], verb))
    if as_json:
        show_json(changed)
    else:
        say(f"{task_text(changed)} of {installation['name']} is {task_status(changed)}.")


def _show(task: Mapping[str, Any], *, as_json: bool) -> None:
    (show_json if as_json else show_fields)(task)


def _find(service: Service, task: str, connector: str | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """A task by its id or its only name, with its installation."""
    where = service.installations() if connector is None else [service.installation(connector)]
    try:
        wanted = str(UUID(task))
    except ValueError:
        return _by_name(service, task, connector, where)
    for installation in where:
        try:
            return installation, service.get(at(installation, "tasks", wanted))
        except NoSuchThing:
            continue
    raise NoSuchThing(f"There is no task {wanted}. See: paymux tasks list")


def _by_name(
    service: Service, name: str, connector: str | None, where: list[dict[str, Any]]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    path = "/tasks" if connector is None else at(where[0], "tasks")
    found, _ = service.rows(path, {"name": name}, everything=False)
    named = [task for task in found if task_name(task) == name]
    if not named:
        raise NoSuchThing(f"There is no task called {name}. See: paymux tasks list")
    if len(named) > 1:
        raise Failed(
            f"Several tasks are called {name}; take the id of one from: paymux tasks list --name {name}"
        )
    (task,) = named
    return next(row for row in where if row["connectorID"] == task["connectorID"]), task
