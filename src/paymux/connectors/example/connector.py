"""One task looks at the directory, and one task a file reads what is new.

A file's task is named by the file's name, time and size, and a task that exists is left alone: so a
tick over files that were read costs a look at the directory and nothing else, and a file dropped again
is read again.
"""

import asyncio
import os
import time
from collections.abc import Set as AbstractSet
from pathlib import Path

from paymux.connectors.example.config import Config
from paymux.connectors.example.mapping import SIZE_MAX, payment
from paymux.sdk import (
    Connector,
    ConnectorContext,
    DomainError,
    Payment,
    Restart,
    Schedule,
    SetAside,
    SkipRecord,
    TaskContext,
    TryAgain,
    task,
)

# Nanoseconds. A file that ends in the middle and has not grown for this long never will.
SETTLED = 60 * 10**9


class Example(Connector[Config]):
    """Reads payments from files."""

    name = "example"
    max_tasks = 10

    # What this process has scheduled. It only saves asking: the tasks themselves are what remembers.
    scheduled: AbstractSet[tuple[str, int, int]] = frozenset()

    async def install(self, ctx: ConnectorContext) -> None:
        """Look at the directory now and from then on."""
        await ctx.schedule(self.directory(), Schedule.every(self.config.every), Restart.ALWAYS)

    @task
    async def directory(self, ctx: TaskContext) -> None:
        """Schedule a task for each file that is new."""
        ctx.log.info(f"Opening directory '{self.config.directory}'...")  # noqa: G004 - the tutorial's line
        files = await asyncio.to_thread(listing, self.config.directory)
        ctx.log.info(f"Found {len(files)} files")  # noqa: G004 - the tutorial's line
        nameless = []
        for name, modified, size in sorted(files - self.scheduled):
            try:
                await ctx.schedule(self.file(name, modified, size), Schedule.now(), Restart.NEVER)
            except DomainError:
                nameless.append(SetAside(kind="file", reason=f"{name}: the name is not UTF-8; rename it"))
        # With it, what was scheduled is committed; not before that may it count as scheduled.
        await ctx.ingest(payments=nameless)
        self.scheduled = files

    @task
    async def file(self, ctx: TaskContext, name: str, modified: int, size: int) -> None:
        """Read one file, unless it is gone, or has changed: then another task will."""
        content, *now = await asyncio.to_thread(read, self.config.directory / name)
        if now == [modified, size]:
            settled = time.time_ns() - modified > SETTLED
            await ctx.ingest(payments=[payment(name, content, settled=settled)])

    async def replay(self, ctx: ConnectorContext, record: SetAside, task: object) -> list[Payment]:  # noqa: ARG002
        """Read the file again, as it is now; when it is gone, what was in it."""
        match task:
            case {"file": {"name": str(name)}} if record.raw is not None:
                content, _, size = await asyncio.to_thread(read, self.config.directory / name)
                kept = record.raw.encode() if isinstance(record.raw, str) else record.raw
                return [payment(name, content if size >= 0 else kept, settled=True)]
        raise SkipRecord(record.reason)


def listing(directory: Path) -> set[tuple[str, int, int]]:
    """Name, time and size of each file: ``*.json`` directly in the directory."""
    found = set()
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".json"):
                try:
                    if entry.is_file():
                        found.add((entry.name, *version(entry.stat())))
                except OSError:  # such as a link to itself: the task that reads it will say so
                    found.add((entry.name, 0, 0))
    return found


def read(path: Path) -> tuple[bytes, int, int]:
    """Content, time and size (those after reading, so that a change shows); -1 when it is gone.

    Raises:
        TryAgain: it cannot be read as things are.
    """
    try:
        with path.open("rb") as file:
            return file.read(SIZE_MAX + 1), *version(os.fstat(file.fileno()))
    except FileNotFoundError:
        return b"", -1, -1
    except OSError as error:
        raise TryAgain(f"{path.name}: {error.strerror}") from error


def version(stat: os.stat_result) -> tuple[int, int]:
    """What changes when the file does."""
    return stat.st_mtime_ns, stat.st_size
