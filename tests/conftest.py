"""What all tests share: one PostgreSQL for the session, and a fresh database for each test that asks."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from paymux.bootstrap import Ground, migrated
from paymux.domain.mask import Mask
from paymux.storage.database import Database
from paymux.storage.embedded import EmbeddedPostgres

ROOT = Path(__file__).parents[1]
KEY = bytes(range(32))

# Timings are the machine's, not the property's.
settings.register_profile("paymux", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("paymux")

# Where tests run side by side on one server, each process of them has a template of its own.
TEMPLATE = f"paymux_template_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
# A file system in memory, and what has to be free there for all that tests leave in a server, and its log.
_MEMORY, _ENOUGH = Path("/dev/shm"), 4 * 1024**3  # noqa: S108 - a folder of our own is made in it


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference material beside the checkout."""
    folder = ROOT.parent / "shared"
    if not folder.exists():
        pytest.skip("the reference material is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A PostgreSQL server with a migrated template; PAYMUX_TEST_DATABASE_URL names another one."""
    given = os.environ.get("PAYMUX_TEST_DATABASE_URL")
    if given:
        asyncio.run(_make_template(given))
        yield given
        return
    # Not in pytest's own folder, which the next session of pytest closes to the server's account.
    with (
        TemporaryDirectory(prefix="paymux-pg-", dir=_memory()) as folder,
        EmbeddedPostgres(Path(folder) / "data") as url,
    ):
        asyncio.run(_make_template(url))
        yield url


@pytest.fixture
async def database_url(server_url: str) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(server_url)
    try:
        # As files are copied; otherwise every page of it goes through the log.
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE} STRATEGY FILE_COPY')
        yield named(server_url, name)
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool on a database of the test's own."""
    opened = await Database.open(database_url, size=8)
    yield opened
    await opened.close()


def _memory() -> Path | None:
    """Where a server of tests lives, if there is room: a database for each of them is 500 files a time."""
    roomy = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH
    return _MEMORY if roomy else None


def named(url: str, database: str) -> str:
    """The same server, another database."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{database}" + (f"?{query}" if query else "")


async def _make_template(url: str) -> None:
    admin = await asyncpg.connect(url)
    await admin.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
    await admin.execute(f"CREATE DATABASE {TEMPLATE}")
    await admin.close()
    await migrated(Ground(named(url, TEMPLATE), [KEY], Mask(), alone=False))
