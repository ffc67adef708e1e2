"""``paymux reseal``: seal with the first key what was sealed with others."""

import asyncio

import typer

from paymux import bootstrap, settings


def reseal() -> None:
    """Seal with the first key what an older one has sealed.

    Then the older one can go.
    """
    with bootstrap.ground(settings.read()) as ground:
        asyncio.run(bootstrap.migrated(ground))
        resealed = asyncio.run(bootstrap.resealed(ground))
    typer.echo(f"Sealed anew: {resealed.count}.")
    for name, why in resealed.refused.items():
        typer.echo(f"paymux: {name}: {why}", err=True)
    if resealed.refused:
        raise typer.Exit(1)
