"""Looks at processes through /proc, and starts the product's own; memory and CPU are Linux's to tell."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

_PROC = Path("/proc")
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_READY = re.compile(r"ready at (http://\S+)")
_STOPPING = 30.0


class Serving(msgspec.Struct, frozen=True):
    """A ``paymux serve`` that answers at ``url``."""

    pid: int
    url: str


@contextmanager
def serving(log: Path, *options: str, **settings: str) -> Iterator[Serving]:
    """Run ``paymux serve`` until the end; ``settings`` are PAYMUX_ variables, its log goes to a file.

    Raises:
        RuntimeError: it ended before it was ready; the message is the end of its log.
    """
    command = (sys.executable, "-m", "paymux", "serve", "--port", "0", *options)
    with (
        log.open("ab") as lines,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=lines, env=_environment(settings), text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := _READY.search(line):
                    yield Serving(process.pid, found[1])
                    break
            else:
                raise RuntimeError(f"paymux serve did not start: {log.read_text('utf-8')[-2000:]}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOPPING)


@contextmanager
def working(**settings: str) -> Iterator[int]:
    """Run ``paymux worker`` until the end, from when it is ready; its log goes nowhere."""
    command = (sys.executable, "-m", "paymux", "worker")
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(settings) | {"PYTHONPATH": settings.get("path", "")},
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOPPING)


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PAYMUX_")}
    return inherited | {f"PAYMUX_{name.upper()}": value for name, value in settings.items()}


def memory(pid: int | str = "self", field: str = "VmRSS") -> float:
    """MB that a process holds: ``VmRSS`` now, or ``VmHWM`` at its peak."""
    found = re.search(
        rf"^{field}:\s+(\d+) kB", (_PROC / str(pid) / "status").read_text("utf-8"), re.MULTILINE
    )
    assert found is not None
    return int(found[1]) / 1024


def forget_peak(pid: int | str = "self") -> None:
    """Begin a new peak of a process's memory."""
    (_PROC / str(pid) / "clear_refs").write_text("5", "utf-8")


def proportional(pids: list[int]) -> float:
    """MB of several processes together, what they share counted once."""
    total = 0
    for pid in pids:
        with suppress(ProcessLookupError, FileNotFoundError):
            text = (_PROC / str(pid) / "smaps_rollup").read_text("utf-8")
            found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
            total += int(found[1]) if found else 0
    return total / 1024


def tree(pid: int, name: str = "") -> list[int]:
    """A process and all below it, or those of them whose command has this name."""
    children: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = _stat(int(entry.name))
                names[int(entry.name)] = fields[0]
                children.setdefault(int(fields[2]), []).append(int(entry.name))
    found, ahead = [], [pid]
    while ahead:
        found.append(ahead.pop())
        ahead.extend(children.get(found[-1], ()))
    return [one for one in found if names.get(one, "").startswith(name)]


def cpu(pids: list[int]) -> float:
    """Seconds of CPU that processes have used, with those of their children that have ended."""
    total = 0.0
    for pid in pids:
        with suppress(OSError):
            # user, system, and the same of ended children.
            total += sum(int(ticks) for ticks in _stat(pid)[12:16]) * _TICK
    return total


def _stat(pid: int) -> list[str]:
    """Command, state, parent and so on; the command stands in brackets and may hold anything."""
    head, _, tail = (_PROC / str(pid) / "stat").read_text("utf-8").rpartition(")")
    return [head.partition("(")[2], *tail.split()]
