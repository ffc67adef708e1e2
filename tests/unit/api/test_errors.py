"""What went wrong, and what a client is told of it."""

from typing import Any

import asyncpg
import pytest
from litestar.testing import RequestFactory

from paymux.api.errors import handle
from paymux.storage.database import Unreachable


def told(error: Exception) -> tuple[int, dict[str, Any]]:
    answer = handle(RequestFactory().get("/connectors"), error)
    assert answer.status_code is not None
    return answer.status_code, answer.content


@pytest.mark.parametrize("error", [
    Unreachable("no such socket"), asyncpg.ConnectionDoesNotExistError(""), asyncpg.InterfaceError("closed"),
    asyncpg.CannotConnectNowError(""), asyncpg.TooManyConnectionsError(""),
], ids=lambda error: type(error).__name__)  # fmt: skip
def test_a_database_that_is_away_is_a_503(error: Exception) -> None:
    """Whoever asks again will be answered one day."""
    status, body = told(error)

    assert status == 503
    assert "Try again" in body["errorMessage"]


@pytest.mark.parametrize("error", [
    PermissionError(13, "Permission denied", "/inbox"), TimeoutError(), ConnectionRefusedError(),
    asyncpg.DataError("an argument of ours"), RuntimeError("a defect"),
], ids=lambda error: type(error).__name__)  # fmt: skip
def test_what_nobody_foresaw_is_a_500_that_says_no_more(error: Exception) -> None:
    """An error of the system is not the database's: nobody is told to try again."""
    status, body = told(error)

    assert status == 500
    assert body["errorMessage"] == "Something went wrong here; the log says what."
