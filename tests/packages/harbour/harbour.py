"""Payments from files, twice more: what somebody writes who has only the sdk and a package of their own.

``Harbour`` is one plain function in a thread: it brings in all that is new in pages and keeps in its
state what it has read. ``Pier`` is written as the tutorial's: a task a file, ``resolve``, and parameters
that are injected by their annotations.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
from pydantic import Field

from paymux.sdk import (
    Amount,
    AskForLogin,
    Asset,
    Connector,
    ConnectorConfig,
    ConnectorContext,
    DomainError,
    Ingester,
    Logger,
    Payment,
    PaymentScheme,
    PaymentStatus,
    PaymentType,
    Restart,
    Schedule,
    Scheduler,
    Secret,
    SetAside,
    SkipRecord,
    TaskContext,
    TryAgain,
    task,
)

PAGE = 500
# A passphrase that was good when it was written down.
REVOKED = "revoked"
SETTLED = 60 * 10**9

# Time and size: changes when the file does.
Version = tuple[int, int]


class Config(ConnectorConfig):
    """What both are given; the passphrase is there to be kept."""

    directory: Path
    every: timedelta = Field(timedelta(seconds=10), alias="pollingPeriod")
    passphrase: Secret = Secret("")


class Seen(msgspec.Struct):
    """What Harbour has read: the version of each file."""

    files: dict[str, Version] = {}


class Harbour(Connector[Config]):
    """One task for everything."""

    name = "harbour"

    async def install(self, ctx: ConnectorContext) -> None:
        """Look at the directory now and from then on."""
        await ctx.schedule(self.directory(), Schedule.every(self.config.every), Restart.ALWAYS)

    @task
    def directory(self, ctx: TaskContext) -> None:
        """Bring in what is new, a page at a time."""
        if self.config.passphrase.get_secret_value() == REVOKED:
            raise AskForLogin("The harbour master no longer knows this passphrase.")
        files = listing(self.config.directory)
        seen = {name: version for name, version in ctx.state(Seen).files.items() if name in files}
        new = sorted(files.items() - seen.items())
        for start in range(0, len(new), PAGE):
            page: list[Payment | SetAside] = []
            for name, version in new[start : start + PAGE]:
                try:
                    page += payments(self.config.directory, name, version)
                    seen[name] = version
                except TryAgain as error:
                    ctx.log.warning("Will try again", reason=str(error))
                except OSError as error:
                    page.append(SetAside(kind="file", reason=f"{name}: {error.strerror}"))
                except SkipRecord as error:
                    page.append(SetAside(kind=error.kind, reason=str(error), raw=error.raw))
                    if is_text(name):
                        seen[name] = version
            # In a thread it has happened when it returns.
            _ = ctx.ingest(payments=page, state=Seen(seen))


class Pier(Connector[Config]):
    """The tutorial's way."""

    name = "pier"
    max_tasks = 10

    async def install(self, ctx: ConnectorContext) -> None:
        """Look at the directory now and from then on."""
        await ctx.schedule("directory", Schedule.every(self.config.every), Restart.ALWAYS)

    def resolve(self, descriptor: Any) -> Callable[..., Awaitable[None]]:
        """Turn a descriptor into what runs it: the directory, or [name, time, size] of a file."""
        match descriptor:
            case "directory":
                return self.look
            case [str(name), int(modified), int(size)]:

                async def read(log: Logger, ingester: Ingester) -> None:
                    log.debug("Reading", file=name)
                    try:
                        found = payments(self.config.directory, name, (modified, size))
                    except OSError as error:
                        raise TryAgain(f"{name}: {error.strerror}") from error
                    await ingester.ingest(payments=found)

                return read
        raise ValueError(f"{descriptor!r} is no task of ours.")

    async def look(self, log: Logger, scheduler: Scheduler, ingester: Ingester) -> None:
        """Schedule a task for each file; one that exists is left alone."""
        log.debug("Looking")
        nameless = []
        for name, version in listing(self.config.directory).items():
            try:
                await scheduler.schedule([name, *version], Schedule.now(), Restart.NEVER)
            except DomainError:
                nameless.append(SetAside(kind="file", reason=f"{name}: the name is no text"))
        await ingester.ingest(payments=nameless)


class Cargo(msgspec.Struct):
    """A payment as the file has it."""

    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    reference: Annotated[str, msgspec.Meta(min_length=1)]
    amount: int
    asset: str
    type: PaymentType
    status: PaymentStatus
    scheme: PaymentScheme = PaymentScheme.UNKNOWN


def listing(directory: Path) -> dict[str, Version]:
    """Version of each ``*.json`` file by its name; (0, 0) for one that will not tell."""
    found: dict[str, Version] = {}
    for path in directory.iterdir():
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        except OSError:
            stat = None
        if path.suffix == ".json" and (stat is None or path.is_file()):
            found[path.name] = (stat.st_mtime_ns, stat.st_size) if stat else (0, 0)
    return found


def payments(directory: Path, name: str, version: Version) -> list[Payment]:
    """What is in the file: one payment, or none when it is gone or not of this version any more.

    Raises:
        TryAgain, SkipRecord, OSError: it is half there, no payment, or cannot be read.
    """
    if not is_text(name):
        raise SkipRecord(f"{name}: the name is no text", kind="file")
    try:
        content = (directory / name).read_bytes()
        after = (directory / name).stat()
    except FileNotFoundError:
        return []
    if (after.st_mtime_ns, after.st_size) != version:
        return []
    try:
        cargo = msgspec.json.decode(content, type=Cargo)
        amount = Amount.from_minor(cargo.amount, Asset.parse(cargo.asset))
    except (ValueError, RecursionError) as error:
        half = "truncated" in str(error) or content[-1:] in b"+-.eE"
        if half and time.time_ns() - after.st_mtime_ns < SETTLED:
            raise TryAgain(f"{name}: {error}") from None
        raise SkipRecord(f"{name}: {error}", raw=content) from None
    return [
        Payment(
            reference=cargo.reference,
            type=cargo.type,
            status=cargo.status,
            amount=amount,
            scheme=cargo.scheme,
            created_at=cargo.created_at,
            raw=content,
        )
    ]


def is_text(name: str) -> bool:
    """Whether a file's name is UTF-8; bytes that are not come as halves of surrogate pairs."""
    return not any("\ud800" <= char <= "\udfff" for char in name)
