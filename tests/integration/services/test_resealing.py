"""Rotating keys: what an old key sealed is sealed anew, and then the old key can go."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from tests.integration.services.conftest import KEY, Start, row_of

from paymux.services.resealing import reseal
from paymux.storage.database import Database
from paymux.storage.vault import Vault

NEW = bytes(reversed(range(32)))
KEYS = {
    KEY: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    NEW: "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=",
}


async def test_the_old_key_can_go_after_a_rotation(depot: Any, start: Start) -> None:
    """Alone on a database, the next start does it; the config is what it was, and no worker is disturbed."""
    connector = await (await start(depot, worker=False)).installing.install("depot", {"key": "sesame-1"})
    rotated = await start(depot, keys=[NEW, KEY], alone=True)
    before = await row_of(rotated, connector)
    assert Vault([NEW]).is_current(before["config"])
    running = await start(depot, worker=False, keys=[NEW])
    config = running.configuring._at_work.read(before).connector.config
    assert config.key.get_secret_value() == "sesame-1"
    assert before["revision"] == 1


async def test_beside_others_it_waits_to_be_asked(depot: Any, start: Start) -> None:
    """Processes that have only the old key yet must be able to go on."""
    running = await start(depot, worker=False)
    connector = await running.installing.install("depot", {"key": "sesame-1"})
    await start(depot, keys=[NEW, KEY])
    sealed = (await row_of(running, connector))["config"]
    assert Vault([KEY]).is_current(sealed)

    assert await _command(running.database, NEW, KEY) == (0, "Sealed anew: 1.\n", "")
    assert await _command(running.database, NEW, KEY) == (0, "Sealed anew: 0.\n", "")
    assert Vault([NEW]).is_current((await row_of(running, connector))["config"])


async def test_what_cannot_be_opened_is_named_and_left(depot: Any, start: Start) -> None:
    """The others are sealed anew all the same."""
    running = await start(depot, worker=False)
    await running.installing.install("depot", {"name": "lost"})
    other = await start(depot, worker=False, keys=[bytes(32)])
    await other.installing.install("depot", {"name": "kept"})

    resealed = await reseal(running.database, Vault([NEW, bytes(32)]))
    assert resealed.count == 1
    assert resealed.refused.keys() == {"DEPOT lost"}
    code, said, wrong = await _command(running.database, NEW)
    assert (code, said) == (1, "Sealed anew: 0.\n")
    assert "DEPOT lost" in wrong


async def _command(database: Database, *keys: bytes) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("paymux"), "reseal",
        env=os.environ | {
            "PAYMUX_DATABASE_URL": database.url,
            "PAYMUX_ENCRYPTION_KEYS": ",".join(KEYS[key] for key in keys),
        },
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, wrong = await process.communicate()
    return process.returncode, said.decode(), wrong.decode()
