"""``paymux connectors``: what is installed in a running service, and changing it."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from paymux.cli.asking import URL, Json, Service, Url, at
from paymux.cli.tables import say, show_fields, show_json, show_table

Named = Annotated[
    str,
    typer.Argument(
        help="Its name, its connectorID, or its provider when there is only one.", metavar="CONNECTOR"
    ),
]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(
        help="Fields of the config: key=value, section.key=value, or key:=JSON.", metavar="KEY=VALUE"
    ),
]
ConfigFile = Annotated[
    str | None,
    typer.Option("--config", help="A file of JSON, or - for standard input: the place for secrets."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]

connectors = typer.Typer(
    help="What is installed in a running service, and changing it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@connectors.command("list")
def list_(url: Url = URL, as_json: Json = False) -> None:
    """List what is installed, oldest first."""
    found = Service(url).installations()
    if as_json:
        show_json(found)
    else:
        columns = ("name", "provider", "status", "connectorID", "error")
        show_table(columns, [[row[column] for column in columns] for row in found])


@connectors.command()
def install(
    provider: Annotated[str, typer.Argument(help="The connector, such as example.", metavar="PROVIDER")],
    pairs: Pairs = None,
    config: ConfigFile = None,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Install a connector; prints its connectorID."""
    body = _with(pairs, _read(config) if config else {})
    made = Service(url).post(f"/connectors/{_segment(provider)}", body)
    if as_json:
        show_json(made)
    else:
        typer.echo(made["connectorID"])


@connectors.command()
def uninstall(connector: Named, yes: Yes = False, url: Url = URL, as_json: Json = False) -> None:
    """Uninstall a connector, and delete what it brought in."""
    service = Service(url)
    installation = service.installation(connector)
    _sure(yes, f"Uninstall {installation['name']} and delete all that it brought in?")
    service.delete(at(installation))
    _done(installation, "is uninstalled", as_json=as_json)


@connectors.command()
def pause(connector: Named, url: Url = URL, as_json: Json = False) -> None:
    """Let none of its tasks run until it is resumed."""
    _do(url, connector, "pause", "is paused", as_json=as_json)


@connectors.command()
def resume(connector: Named, url: Url = URL, as_json: Json = False) -> None:
    """Let its tasks run again, also when it had needed a login."""
    _do(url, connector, "resume", "is resumed", as_json=as_json)


@connectors.command()
def reset(connector: Named, yes: Yes = False, url: Url = URL, as_json: Json = False) -> None:
    """Delete what it brought in, and begin anew.

    Its id and config stay. It goes on in the background: list shows when it is done.
    """
    service = Service(url)
    installation = service.installation(connector)
    _sure(yes, f"Delete all that {installation['name']} brought in, and begin anew?")
    service.post(at(installation, "reset"))
    _done(service.installation(installation["connectorID"]), "is being reset", as_json=as_json)


@connectors.command()
def config(connector: Named, url: Url = URL, as_json: Json = False) -> None:
    """Show its config, secrets masked."""
    service = Service(url)
    found = service.get(at(service.installation(connector), "config"))
    (show_json if as_json else show_fields)(found)


@connectors.command()
def update_config(
    connector: Named,
    pairs: Pairs = None,
    config: ConfigFile = None,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Change its config.

    The fields that are given, or with --config the whole of it. Masked secrets stay what they were.
    """
    if not pairs and config is None:
        raise typer.BadParameter("say what changes: key=value, or --config", param_hint="KEY=VALUE")
    service = Service(url)
    installation = service.installation(connector)
    old: dict[str, Any] = {}
    if config is None:
        old = service.get(at(installation, "config"))
        old.pop("provider", None)
    service.post(at(installation, "config"), _with(pairs, _read(config) if config else old))
    _done(service.installation(installation["connectorID"]), "has a new config", as_json=as_json)


def _do(url: str, connector: str, verb: str, done: str, *, as_json: bool) -> None:
    service = Service(url)
    installation = service.installation(connector)
    service.post(at(installation, verb))
    _done(installation, done, as_json=as_json)


def _done(installation: dict[str, Any], done: str, *, as_json: bool) -> None:
    if as_json:
        show_json(installation)
    else:
        say(f"{installation['name']} {done}.")


def _sure(yes: bool, question: str) -> None:  # noqa: FBT001 - as the option is
    """Ask a person; a script has made up its mind."""
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(question, abort=True, err=True)


def _segment(text: str) -> str:
    if not text.replace("-", "").isalnum() or not text.isascii():
        raise typer.BadParameter(f"{text!r} is the name of no connector", param_hint="PROVIDER")
    return text


def _read(source: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
        found = json.loads(text)
    except OSError as error:
        raise typer.BadParameter(f"{source}: {error.strerror}", param_hint="--config") from None
    except ValueError:
        # Not what the parser says: it may quote a secret.
        raise typer.BadParameter(f"{source} holds no JSON", param_hint="--config") from None
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{source} holds no JSON object", param_hint="--config")
    return found


def _with(pairs: list[str] | None, config: dict[str, Any]) -> dict[str, Any]:
    """The config with these fields; what is wrong with one is said without its value, it may be secret."""
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        path = key.removesuffix(":").split(".")
        if not equals or not all(path):
            raise typer.BadParameter(
                "write key=value, section.key=value or key:=JSON", param_hint="KEY=VALUE"
            )
        try:
            field = json.loads(value) if key.endswith(":") else value
        except ValueError:
            raise typer.BadParameter(f"{key}= needs JSON", param_hint="KEY=VALUE") from None
        section = config
        for name in path[:-1]:
            inner = section.get(name)
            section[name] = section = inner if isinstance(inner, dict) else {}
        section[path[-1]] = field
    return config
