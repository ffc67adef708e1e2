"""``paymux migrate``: bring the database to this version's schema."""

import typer


def migrate() -> None:
    """Bring the database to this version's schema. Serve and worker do so when they start."""
    from paymux.cli import service

    applied = service.migrate()
    typer.echo(f"Applied: {', '.join(applied)}." if applied else "The database is up to date.")
