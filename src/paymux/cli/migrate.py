"""``paymux migrate``: bring the database to this version's schema."""

import asyncio

import typer

from paymux import bootstrap, settings


def migrate() -> None:
    """Bring the database to this version's schema. Serve and worker do so when they start."""
    with bootstrap.ground(settings.read()) as ground:
        applied = asyncio.run(bootstrap.migrated(ground))
    typer.echo(f"Applied: {', '.join(applied)}." if applied else "The database is up to date.")
