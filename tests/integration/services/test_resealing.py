"""Rotating keys: what an old key sealed is sealed anew, and then the old key can go."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from tests.integration.services.conftest import KEY, Start, row_of

from paymux.domain.bank_account import Numbers
from paymux.services.banking import BankAccountToKeep
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


async def test_bank_accounts_are_sealed_anew_too(start: Start) -> None:
    """More of them than a batch; those that cannot be opened are named, and the others done."""
    running = await start(worker=False)
    kept = BankAccountToKeep(name="x", country="DE", numbers=Numbers("DE89370400440532013000"))
    first = await running.banking.create(kept)
    sealed = await running.database.fetchval("SELECT numbers FROM bank_account")
    await running.database.execute(
        "INSERT INTO bank_account (id, name, country, numbers, shown_iban, shown_account_number, bic)"
        " SELECT md5(n::text)::uuid, 'y', 'DE', $1, '', '', '' FROM generate_series(1, 1500) AS n",
        sealed,
    )
    resealed = await reseal(running.database, Vault([NEW, KEY]))

    # Theirs was copied from another row, and opens nowhere else.
    assert (resealed.count, len(resealed.refused)) == (1, 1500)
    (row,) = await running.database.fetch("SELECT numbers FROM bank_account WHERE id = $1", first)
    assert Vault([NEW]).is_current(row["numbers"])
    only_new = await start(worker=False, keys=[NEW])
    assert only_new.banking.numbers(first, row["numbers"]) == kept.numbers


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
