"""A connector that has a name which the official client knows: it brings in what is in a file."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from pydantic import Field

from paymux.sdk import (
    Account,
    Balance,
    Connector,
    ConnectorConfig,
    ConnectorContext,
    Payment,
    Restart,
    Schedule,
    TaskContext,
    task,
)


class Config(ConnectorConfig):
    """As the client writes it."""

    directory: Path
    every: timedelta = Field(timedelta(seconds=10), alias="filePollingPeriod")


class Book(msgspec.Struct):
    """What is in the file: records. What has a raw form has a type that JSON cannot be read into as it is."""

    accounts: list[dict[str, Any]]
    balances: list[Balance]
    payments: list[dict[str, Any]]


class DummyPay(Connector[Config]):
    """One task, which reads it all."""

    name = "dummy-pay"

    async def install(self, ctx: ConnectorContext) -> None:
        """Read it now and from then on."""
        await ctx.schedule(self.book(), Schedule.every(self.config.every), Restart.ALWAYS)

    @task
    async def book(self, ctx: TaskContext) -> None:
        """Bring it in."""
        found = msgspec.json.decode((self.config.directory / "book.json").read_bytes(), type=Book)
        await ctx.ingest(
            accounts=[_record(Account, one) for one in found.accounts],
            balances=found.balances,
            payments=[_record(Payment, one) for one in found.payments],
        )


def _record(kind: Any, one: dict[str, Any]) -> Any:
    fields = {
        field.name: msgspec.convert(one[field.name], field.type)
        for field in msgspec.structs.fields(kind)
        if field.name != "raw"
    }
    return kind(**fields, raw=one["raw"])
