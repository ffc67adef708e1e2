"""One service for every connector that reads files, and a watched directory for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.service import Service, eventually, payment_file

# The built-in one, and the two of tests/packages/harbour.
PROVIDERS = ("example", "harbour", "pier")


class Watch:
    """An installation, and the directory that it watches."""

    def __init__(self, service: Service, provider: str, directory: Path) -> None:
        self.service = service
        self.provider = provider
        self.directory = directory
        self.connector = ""

    def install(self) -> None:
        """Begin to watch."""
        self.directory.mkdir(exist_ok=True)
        self.connector = self.service.install(
            self.provider,
            directory=str(self.directory),
            pollingPeriod="200ms",
            name=f"{self.provider} {self.directory}",
        )

    def uninstall(self) -> None:
        """Stop watching."""
        self.service.uninstall(self.connector, self.provider)
        shutil.rmtree(self.directory)

    def drop(self, name: str, content: str | bytes) -> Path:
        """Put a whole file there at once, as one should."""
        aside = self.directory / "on its way"
        aside.write_bytes(content if isinstance(content, bytes) else content.encode())
        return aside.replace(self.directory / name)

    def drop_payment(self, reference: str, **fields: object) -> Path:
        """Put a payment's file there, named by its reference."""
        return self.drop(f"{reference}.json", payment_file(reference, **fields))

    def payments(self) -> dict[str, dict[str, Any]]:
        """What came in, by reference."""
        return {payment["reference"]: payment for payment in self.service.payments(self.connector)}

    def set_aside(self) -> list[str]:
        """The reasons for what did not."""
        return [record["reason"] for record in self.service.set_aside(self.connector, self.provider)]

    def errors(self) -> list[str]:
        """The errors of tasks that fail."""
        tasks = self.service.tasks(self.connector, self.provider)
        return [task["error"] for task in tasks if task["status"] == "FAILED"]

    def wait_for(self, *references: str) -> None:
        """Wait until these payments are there."""
        eventually(
            lambda: self.payments().keys() >= set(references),
            lambda: f"only {sorted(self.payments())[:50]}; {self.set_aside()[:50]}; {self.errors()[:50]}",
        )

    def runs(self) -> tuple[int, int]:
        """Finished runs: of the task that looks at the directory, and of all others."""
        (row,) = self.service.sql(
            "SELECT count(*) FILTER (WHERE t.descriptor = '\"directory\"') AS looks,"
            " count(*) FILTER (WHERE t.descriptor <> '\"directory\"') AS others"
            " FROM run r JOIN task t ON t.id = r.task JOIN installation i ON i.id = r.installation"
            " WHERE i.name = $1",
            f"{self.provider} {self.directory}",
        )
        return row["looks"], row["others"]

    def look(self, times: int = 2) -> None:
        """Wait until the directory has been looked at, from beginning to end, from now on."""
        before, _ = self.runs()
        # The first that ends may have begun before.
        eventually(lambda: self.runs()[0] > before + times, lambda: "the directory is not looked at")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One process, for all connectors."""
    service = Service(tmp_path_factory.mktemp("connectors"))
    service.start()
    yield service
    assert service.stop() == 0


@pytest.fixture(scope="module", params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    """Each of the connectors."""
    return str(request.param)


@pytest.fixture
def watch(service: Service, provider: str, tmp_path: Path) -> Iterator[Watch]:
    """A watched directory, empty to begin with."""
    watch = Watch(service, provider, tmp_path / "payments")
    watch.install()
    yield watch
    watch.uninstall()
