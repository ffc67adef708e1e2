"""Each test of the way in has a fresh database with one installation."""

import pytest
from tests.integration.ingestion.inlet import Inlet

from paymux.storage.database import Database


@pytest.fixture
async def inlet(database: Database) -> Inlet:
    """An installation, and nothing in it."""
    return await Inlet.open(database)
