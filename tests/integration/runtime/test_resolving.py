"""From a descriptor to what runs it: the installed class, its ``resolve``, and what that asks for."""

from datetime import timedelta
from typing import Any, ClassVar

from paymux.sdk import (
    Connector,
    ConnectorConfig,
    ConnectorID,
    Restart,
    Schedule,
    TaskContext,
    TaskID,
)

PERIOD = timedelta(seconds=0.3)


def act(key: str) -> dict[str, dict[str, str]]:
    return {"act": {"key": key}}


async def test_a_connector_that_is_gone_fails_only_its_own_runs(probe: Any, start: Any) -> None:
    """The class is not installed any more: its tasks say so, the others go on."""

    class Gone(Connector[ConnectorConfig]):
        name = "gone"

        async def install(self, ctx: Any) -> None:
            await ctx.schedule("anything", Schedule.every(PERIOD), Restart.ALWAYS)

    first = await (await start(Gone, worker=False)).install("gone")
    site = await (await start(probe)).install()
    await site.schedule(act("a"), Schedule.now_sync())
    row = await first.reached("anything", "FAILED")

    assert "There is no connector 'GONE'" in row["error"]
    assert row["next_run_at"] is not None


async def test_a_resolved_function_is_given_what_it_asks_for(start: Any) -> None:
    """``resolve``, and parameters by annotation; what nobody has is refused with the list."""
    said: list[object] = []

    class Resolver(Connector[ConnectorConfig]):
        name = "resolver"
        kinds: ClassVar[dict[str, Any]] = {}

        def resolve(self, descriptor: Any) -> Any:
            return self.kinds[descriptor]

    async def good(connector: ConnectorID, task: TaskID, ctx: TaskContext) -> None:
        said.append((connector, task, ctx.task_id))

    def bad(socket: bytes) -> None:
        said.append(socket)

    Resolver.kinds = {"good": good, "bad": bad, "exit": None}
    site = await (await start(Resolver)).install("resolver")
    await site.schedule("good", Schedule.now_sync())
    await site.schedule("bad")
    await site.schedule("none")
    await site.schedule("exit")

    assert said == [(site.connector, site.id("good"), site.id("good"))]
    assert (
        "what can be asked for is ConnectorContext, ConnectorID"
        in (await site.reached("bad", "FAILED"))["error"]
    )
    assert (await site.reached("none", "FAILED"))["error"] == "KeyError: 'none'"
    assert "not to None" in (await site.reached("exit", "FAILED"))["error"]
