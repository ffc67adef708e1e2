"""One service for all that ask, and something in it to ask for."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.service import Service, eventually, payment_file

ROOT = Path(__file__).parents[2]
# What runs in the environment of the official client.
CLIENT = Path(__file__).parent / "sdk"
# Payments of the installation ``stocked``.
STOCKED = 34


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that tests share."""
    yield from running(Service(tmp_path_factory.mktemp("service")))


def running(service: Service) -> Iterator[Service]:
    """Start it, and stop it when it is done with."""
    service.start()
    yield service
    if service.running:
        assert service.stop() == 0


@pytest.fixture
def service(process: Service) -> Iterator[Service]:
    """The shared service, whatever the test before has done to it; what a test installs goes with it."""
    if not process.running:
        process.start()
    yield process
    for row in process.get("/connectors")["data"] if process.running else ():
        if row["name"] != "stocked":
            process.uninstall(row["connectorID"], row["provider"])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An empty directory to watch."""
    watched = tmp_path / "payments"
    watched.mkdir()
    return watched


@pytest.fixture(scope="session")
def stocked(process: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An installation with ``STOCKED`` payments, of which several share a time; the only one of its kind."""
    directory = tmp_path_factory.mktemp("stocked")
    for number in range(STOCKED):
        (directory / f"{number:02}.json").write_text(
            payment_file(
                f"{number:02}",
                created_at=f"2020-01-{number // 5 + 1:02}T00:00:00Z",
                status="SUCCEEDED" if number % 2 else "PENDING",
            )
        )
    (directory / "broken 1.json").write_text("{}")
    (directory / "broken 2.json").write_text("[]")
    connector = process.install("pier", directory=str(directory), name="stocked")
    eventually(
        lambda: (
            len(process.payments(connector)) == STOCKED and len(process.set_aside(connector, "pier")) == 2
        ),
        lambda: process.tasks(connector, "pier"),
    )
    yield connector
    process.uninstall(connector, "pier")


@pytest.fixture(scope="session")
def client() -> Path:
    """A Python that has the client and none of ours; made once for each set of pins."""
    made_of = (pins := CLIENT / "requirements.txt").read_bytes() + sys.version.encode()
    folder = ROOT / ".cache" / f"client-{hashlib.sha256(made_of).hexdigest()[:16]}"
    whole = folder / "whole"
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever else runs tests may be making it
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            pip = [str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "--require-hashes", "--no-deps", "-r", str(pins)], check=True)
            whole.touch()
    return folder / "bin/python"


def package(folder: Path, module: Path, entry_point: str) -> Path:
    """Leave a connector in a folder as an installer would; returns the folder."""
    about = folder / f"{module.stem}-1.dist-info"
    about.mkdir(parents=True)
    shutil.copy(module, folder)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.stem}\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[paymux.connectors]\n{entry_point}\n")
    return folder
