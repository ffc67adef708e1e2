"""Message brokers of the tests' own: real servers on free ports, with their data in a temporary directory."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Debian keeps servers where only root's PATH looks; of RabbitMQ's two scripts there, one changes the user.
_WHERE = f"/usr/lib/rabbitmq/bin:{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
# Seconds; an Erlang node on a busy machine takes its time.
_STARTING = 90.0


class Server:
    """One server, which can be killed and comes back on the same port with the same data."""

    def __init__(
        self, url: str, command: list[str], port: int, environment: dict[str, str] | None = None
    ) -> None:
        self.url = url
        self._command = command
        self._port = port
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + _STARTING
        while time.monotonic() < end:
            assert self._process.poll() is None, f"{self._command[0]} has ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.1)
        raise TimeoutError(f"{self._command[0]} does not take connections")

    def kill(self) -> None:
        """End it as a crash would, and all that it has started."""
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None


def nats(folder: Path) -> Server:
    """A NATS server with JetStream."""
    port = _free_port()
    command = [_path("nats-server"), "-js", "-sd", str(folder), "-a", "127.0.0.1", "-p", str(port)]
    return Server(f"nats://127.0.0.1:{port}", command, port)


def redis(folder: Path) -> Server:
    """A Redis server that keeps what it said it had."""
    port = _free_port()
    command = [
        _path("redis-server"), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder),
        "--save", "", "--appendonly", "yes", "--appendfsync", "always",
    ]  # fmt: skip
    return Server(f"redis://127.0.0.1:{port}", command, port)


@contextmanager
def rabbitmq(folder: Path) -> Iterator[Server]:
    """A RabbitMQ node, and the port mapper that Erlang wants beside it."""
    command, mapper = _path("rabbitmq-server"), _path("epmd")
    port, names = _free_port(), _free_port()
    environment = {
        # Its cookie is there.
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"paymux{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(_free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    ours = subprocess.Popen([mapper, "-address", "127.0.0.1", "-port", str(names)], stdin=subprocess.DEVNULL)
    try:
        yield Server(f"amqp://guest:guest@127.0.0.1:{port}", [command], port, environment)
    finally:
        ours.kill()
        ours.wait()


def _path(name: str) -> str:
    found = shutil.which(name, path=_WHERE)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
