"""``paymux reseal``: seal with the first key what was sealed with others."""

import typer


def reseal() -> None:
    """Seal with the first key what an older one has sealed.

    Then the older one can go.
    """
    from paymux.cli import service

    resealed = service.reseal()
    typer.echo(f"Sealed anew: {resealed.count}.")
    for name, why in resealed.refused.items():
        typer.echo(f"paymux: {name}: {why}", err=True)
    if resealed.refused:
        raise typer.Exit(1)
