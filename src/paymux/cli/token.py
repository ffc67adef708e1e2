"""``paymux token``: makes tokens that programs log in with."""

from typing import Annotated

import typer

token = typer.Typer(
    help="Tokens that programs log in with.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@token.callback()
def options() -> None:
    """Tokens that programs log in with."""


@token.command()
def new(
    name: Annotated[str, typer.Argument(help="Whose it is, as the audit will name them.", metavar="NAME")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="read, write or config; may be given several times.  [default: read]"),
    ] = None,
) -> None:
    """Make a token. It is shown once; the service is given the line with its hash, in PAYMUX_API_TOKENS."""
    from paymux.api.auth import tokens

    try:
        made, line = tokens.new(name, tokens.scopes(scope or ["read"]))
    except tokens.BadTokens as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo("The token, for the client (PAYMUX_TOKEN); nobody can show it again:", err=True)
    typer.echo(made)
    typer.echo("For the service, in PAYMUX_API_TOKENS, after a comma where there are others:", err=True)
    typer.echo(line)
