"""One service for the story of each module."""

from collections.abc import Iterator

import pytest
from tests.e2e.service import Service


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that the tests of a module share."""
    service = Service(tmp_path_factory.mktemp("service"))
    service.start()
    yield service
    if service.running:
        assert service.stop() == 0


@pytest.fixture
def service(process: Service) -> Service:
    """The service of this module, running again should a test before this one have left it dead."""
    if not process.running:
        process.start()
    return process
