"""An installation whose tasks a test runs by hand."""

from datetime import timedelta

import pytest
from tests.integration.storage.book import Book

from paymux.runtime.engine import PgQueuerEngine
from paymux.storage.database import Database


@pytest.fixture
async def book(database: Database, database_url: str) -> Book:
    """An installation with one place."""
    book = Book(database, PgQueuerEngine(database_url, heartbeat=timedelta(seconds=1), concurrency=1))
    await book.install(1)
    return book
