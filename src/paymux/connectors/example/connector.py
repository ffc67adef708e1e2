"""One task looks at the directory, and one task a file reads what is new.

A file's task is named by the file and its version (time and size), and a task that exists is left
alone: so a tick over files that were read costs a look at the directory and nothing else, and a file
dropped again is read again.
"""

import asyncio
import os
import time
from pathlib import Path

from paymux.connectors.example.config import Config
from paymux.connectors.example.mapping import Truncated, payment
from paymux.sdk import Connector, ConnectorContext, Restart, Schedule, SkipRecord, TaskContext, TryAgain, task

# A file that ends in the middle and has not grown for this long will not.
SETTLED = 60.0


class Example(Connector[Config]):
    """Reads payments from files."""

    name = "example"
    max_tasks = 10

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        # What this process has scheduled; only saves asking, the tasks themselves remember.
        self.scheduled: set[tuple[str, str]] = set()

    async def install(self, ctx: ConnectorContext) -> None:
        """Look at the directory now and from then on."""
        await ctx.schedule(self.directory(), Schedule.every(self.config.every), Restart.ALWAYS)

    @task
    async def directory(self, ctx: TaskContext) -> None:
        """Schedule a task for each file that is new."""
        ctx.log.info(f"Opening directory '{self.config.directory}'...")
        files = await asyncio.to_thread(listing, self.config.directory)
        ctx.log.info(f"Found {len(files)} files")
        for file, version in sorted(files - self.scheduled):
            await ctx.schedule(self.file(file, version), Schedule.now(), Restart.NEVER)
        await ctx.ingest()
        self.scheduled = files

    @task
    async def file(self, ctx: TaskContext, file: str, version: str) -> None:
        """Read one file, unless it has changed since: then a task for the newer version will."""
        path = self.config.directory / file
        content = await asyncio.to_thread(path.read_bytes)
        if version_of(path.stat()) != version:
            return
        try:
            await ctx.ingest(payments=[payment(file, content)])
        except Truncated as error:
            if time.time() - path.stat().st_mtime < SETTLED:
                raise TryAgain(f"{error} Waiting for the rest of it.") from None
            raise SkipRecord(str(error), raw=content) from None


def listing(directory: Path) -> set[tuple[str, str]]:
    """Name and version of each file: ``*.json`` directly in the directory."""
    with os.scandir(directory) as entries:
        return {(e.name, version_of(e.stat())) for e in entries if e.name.endswith(".json") and e.is_file()}


def version_of(stat: os.stat_result) -> str:
    """Changes when the file does."""
    return f"{stat.st_mtime_ns:x}-{stat.st_size:x}"
