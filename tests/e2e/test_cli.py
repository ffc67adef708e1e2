"""The operators' commands against a running service: what they change, what they say, how they end."""

import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from tests.e2e.operator_commands import Shell, cells, shell_for
from tests.e2e.service import PATIENCE, PAYMUX, Service, eventually, payment_file


@pytest.fixture
def shell(service: Service) -> Shell:
    return shell_for(service)


def test_a_connector_is_installed_listed_and_uninstalled(
    service: Service, shell: Shell, directory: Path
) -> None:
    """The connectorID alone on standard output, for scripts; the list has it; then it is gone."""
    connector = shell.ok("connectors", "install", "example", f"directory={directory}", "name=cli").strip()

    assert [row["connectorID"] for row in service.get("/connectors")["data"]].count(connector) == 1
    listed = cells(shell.ok("connectors", "list"), "NAME", "PROVIDER", "STATUS", "CONNECTORID")
    assert ("cli", "EXAMPLE", "INSTALLED", connector) in listed
    assert shell.json("connectors", "list") == service.get("/connectors")["data"]

    ended = shell.run("connectors", "uninstall", "cli")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "cli is uninstalled.\n")
    assert connector not in shell.ok("connectors", "list")


def test_an_installation_has_three_names(shell: Shell, directory: Path) -> None:
    """Its name, in any case; its connectorID; and its provider while it is alone."""
    config = {"directory": str(directory), "name": "Three Names"}
    connector = shell.ok(
        "connectors", "install", "example", "--config", "-", given=json.dumps(config)
    ).strip()

    for named in ("Three Names", "three names", connector, "example", "EXAMPLE"):
        assert shell.json("connectors", "config", named)["name"] == "Three Names"

    shell.ok("connectors", "install", "example", f"directory={directory}", "name=other")
    said = shell.refused("connectors", "uninstall", "EXAMPLE")
    assert said == "paymux: There are 2: Three Names, other. Please name one of them rather than EXAMPLE.\n"
    assert "paymux connectors list" in shell.refused("connectors", "config", "fourth")
    assert shell.json("connectors", "config", "other")["name"] == "other"


def test_a_config_comes_from_a_file_and_from_the_command_line(
    service: Service, shell: Shell, directory: Path, tmp_path: Path
) -> None:
    """What the command line says comes first; values may be JSON."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"directory": str(directory), "name": "file", "pollingPeriod": "5s"}))

    shell.ok("connectors", "install", "harbour", "--config", str(file), "pollingPeriod=2s",
             'passphrase:="open sesame"', "name=both")  # fmt: skip

    shown = shell.json("connectors", "config", "both")
    assert shown == {
        "name": "both", "directory": str(directory), "pollingPeriod": "2s", "passphrase": "********",
        "provider": "HARBOUR",
    }  # fmt: skip
    assert "passphrase     ********" in shell.ok("connectors", "config", "both")
    assert "open sesame" not in service.log()


def test_what_the_service_refuses_is_a_sentence(shell: Shell, directory: Path) -> None:
    """Its own, and status 1."""
    assert shell.refused("connectors", "install", "nothing").startswith("paymux: There is no connector")
    assert shell.refused("connectors", "install", "example") == "paymux: directory: field required\n"
    shell.ok("connectors", "install", "example", f"directory={directory}", "name=once")
    said = shell.refused("connectors", "install", "example", f"directory={directory}", "name=once")
    assert "An installation of this name exists" in said


def test_a_service_that_is_not_there_is_said_to_be_missing() -> None:
    """And what to do about it."""
    shell = Shell("127.0.0.1:1")
    for words in (["connectors", "list"], ["tasks", "list"], ["set-aside", "list"], ["health"]):
        said = shell.refused(*words)
        assert said.startswith("paymux: Nothing answers at http://127.0.0.1:1.")
        assert "paymux serve" in said
        assert "PAYMUX_URL" in said


@pytest.fixture
def stranger() -> Iterator[str]:
    """The URL of something that is not paymux."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>welcome</html>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_something_else_at_the_address_is_noticed(stranger: str) -> None:
    """Such as a proxy's own page."""
    said = Shell(stranger).refused("connectors", "list")

    assert said == f"paymux: What answers at {stranger} is not paymux (HTTP 200).\n"


def test_an_option_comes_before_the_environment(service: Service) -> None:
    """Also with a path behind the host, as behind a gateway."""
    url = str(service.http.base_url)

    for address in (url, f"{url}/api/payments", f"{url}/api/payments/", url.removeprefix("http://")):
        assert (
            Shell("127.0.0.1:1").json("connectors", "list", "--url", address)
            == (service.get("/connectors")["data"])
        )


def test_a_proxy_in_the_environment_does_not_stand_between(service: Service) -> None:
    """This machine is asked itself."""
    shell = shell_for(service)
    shell.environment |= {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}

    assert shell.json("connectors", "list") == service.get("/connectors")["data"]


def test_tasks_are_listed_and_shown(service: Service, shell: Shell, directory: Path) -> None:
    """Of an installation: a row each, or as the service says it; the id leads to the whole of it."""
    directory.rmdir()
    connector = service.install(directory=str(directory), name="tasks")
    eventually(lambda: service.tasks(connector)[0]["status"] == "FAILED", lambda: service.tasks(connector))

    (row,) = cells(
        shell.ok("tasks", "list", "--connector", "tasks"), "ID", "TASK", "INSTALLATION", "STATUS", "ERROR"
    )

    (task,) = service.tasks(connector)
    assert row == (task["id"], "directory", "tasks", "FAILED", f"{directory}: no such file or directory")
    assert shell.json("tasks", "list", "--connector", "tasks")[0]["id"] == task["id"]
    for words in ([task["id"]], [task["id"].upper()], [task["id"], "--connector", "tasks"]):
        assert shell.json("tasks", "show", *words)["descriptor"] == "directory"
    assert re.search(r"^error +\S+: no such file", shell.ok("tasks", "show", task["id"]), re.MULTILINE)
    unknown = "67c6268d-7fc9-5067-a2cf-920894d7fbe7"
    assert shell.refused("tasks", "show", unknown).startswith(f"paymux: There is no task {unknown}")


def test_a_list_is_followed_to_its_end_when_asked(service: Service, shell: Shell, directory: Path) -> None:
    """A hundred rows otherwise, and a word about it."""
    for number in range(120):
        (directory / f"{number}.json").write_text(payment_file(number))
    connector = service.install(directory=str(directory), name="many")
    eventually(lambda: len(service.tasks(connector)) == 121, lambda: len(service.tasks(connector)))

    first = shell.run("tasks", "list", "--connector", "many")
    assert len(first.stdout.splitlines()) == 1 + 100
    assert first.stderr == "There are more: --all shows them.\n"
    every = shell.run("tasks", "list", "--connector", "many", "--all")
    assert len(every.stdout.splitlines()) == 1 + 121
    assert every.stderr == ""
    found = shell.json("tasks", "list", "--connector", "many", "--all")
    assert {task["id"] for task in found} == {task["id"] for task in service.tasks(connector)}


def test_set_aside_records_are_listed(service: Service, shell: Shell, directory: Path) -> None:
    """Of one installation or of all; what a file says cannot move the cursor of a terminal."""
    (directory / "bad\x1b[31m.json").write_text("{}")
    connector = service.install(directory=str(directory), name="aside")
    eventually(lambda: service.set_aside(connector), lambda: service.tasks(connector))

    for words in ([], ["--connector", "aside"]):
        said = shell.ok("set-aside", "list", *words)
        rows = cells(said, "INSTALLATION", "KIND", "REASON")
        (reason,) = [row[2] for row in rows if row[:2] == ("aside", "payment")]
        assert reason.startswith("bad\\u001b[31m.json: ")
        assert "\x1b" not in said
        assert connector in {row["connectorID"] for row in shell.json("set-aside", "list", *words)}


def test_a_terminal_gets_lines_of_its_width(service: Service, shell: Shell, directory: Path) -> None:
    """Cut with a sign, and without colours."""
    service.install(directory=str(directory), name="wide")

    said = _on_a_terminal(shell, "connectors", "list")

    assert [len(line) for line in said.splitlines()][1:] == [60] * (len(said.splitlines()) - 1)
    assert all(line.endswith("…") for line in said.splitlines()[1:])
    assert "\x1b" not in said


def test_a_person_is_asked_before_data_is_deleted(service: Service, shell: Shell, directory: Path) -> None:
    """No is no; --yes does not ask."""
    connector = service.install(directory=str(directory), name="kept")

    said = _on_a_terminal(shell, "connectors", "uninstall", "kept", typed=b"n\n")
    assert "Uninstall kept and delete all that it brought in?" in said
    assert connector in shell.ok("connectors", "list")

    _on_a_terminal(shell, "connectors", "uninstall", "kept", "--yes")
    assert connector not in shell.ok("connectors", "list")


def _on_a_terminal(shell: Shell, *words: str, typed: bytes = b"") -> str:
    """Run a command on a terminal of 60 columns; returns all that is seen on it."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [PAYMUX, *words], stdin=end, stdout=end, stderr=end, env=shell.environment | {"COLUMNS": "60"}
    )
    os.close(end)
    os.write(terminal, typed)
    seen = b""
    try:
        while chunk := os.read(terminal, 4096):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    process.wait(PATIENCE)
    return seen.decode()
