"""A provider for the tests, as good as new for each of them."""

from collections.abc import Iterator

import pytest

from paymux.sandbox.server import Sandbox


@pytest.fixture(scope="module")
def provider_at_work() -> Iterator[Sandbox]:
    """One on a socket of its own; more than a page of payments have happened."""
    with Sandbox(seed=7, payments=130, lateness=3600) as running:
        yield running


@pytest.fixture
def sandbox(provider_at_work: Sandbox) -> Sandbox:
    """It behaves well until it is told otherwise."""
    provider_at_work.reset()
    return provider_at_work
