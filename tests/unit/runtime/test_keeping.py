"""Work in the background does not end in silence."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from paymux.runtime import keeping
from paymux.runtime.keeping import kept_up


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "AGAIN", 0)


@pytest.mark.parametrize("how", ["returns", "raises", "is cancelled"])
async def test_what_ends_too_early_is_started_anew(how: str) -> None:
    """However it ends; each time the log says so at the top of its voice."""
    turns: list[int] = []

    async def work() -> None:
        turns.append(1)
        if len(turns) == 3:
            return
        if how == "raises":
            raise ValueError("a defect")
        if how == "is cancelled":
            raise asyncio.CancelledError

    with capture_logs() as logs:
        await asyncio.wait_for(kept_up("worker", work, lambda: len(turns) == 3), 5)

    assert len(turns) == 3
    assert [(line["work"], line["log_level"]) for line in logs] == [("worker", "critical")] * 2


async def test_it_ends_when_it_is_cancelled() -> None:
    """By whoever runs it."""
    entered = asyncio.Event()

    async def work() -> Any:
        entered.set()
        await asyncio.sleep(60)

    kept = asyncio.create_task(kept_up("worker", work, lambda: False))
    await entered.wait()
    kept.cancel()
    with pytest.raises(asyncio.CancelledError):
        await kept
