"""What operators do: run a task now, cancel, pause or resume it; pause or resume an installation."""

from litestar import post

from paymux.api.openapi.described import described
from paymux.api.requests import Injected, Parts, PathText
from paymux.api.v1.tasks import Task, show
from paymux.domain.ids import ConnectorID, parse_uuid
from paymux.storage.operators import Verb


@post("/connectors/{provider:str}/{connector_id:str}/tasks/{task_id:str}/run", status_code=200)
@described(errors=(409,))
async def run_now(
    provider: PathText, connector_id: PathText, task_id: PathText, parts: Injected
) -> dict[str, Task]:
    """Make a task due now; one that runs is followed by one more run."""
    return await _tell(parts, "run", provider, connector_id, task_id)


@post("/connectors/{provider:str}/{connector_id:str}/tasks/{task_id:str}/cancel", status_code=200)
@described(errors=(409,))
async def cancel(
    provider: PathText, connector_id: PathText, task_id: PathText, parts: Injected
) -> dict[str, Task]:
    """Stop what runs, or what is due."""
    return await _tell(parts, "cancel", provider, connector_id, task_id)


@post("/connectors/{provider:str}/{connector_id:str}/tasks/{task_id:str}/pause", status_code=200)
@described(errors=(409,))
async def pause_task(
    provider: PathText, connector_id: PathText, task_id: PathText, parts: Injected
) -> dict[str, Task]:
    """Keep a task from running until it is resumed."""
    return await _tell(parts, "pause", provider, connector_id, task_id)


@post("/connectors/{provider:str}/{connector_id:str}/tasks/{task_id:str}/resume", status_code=200)
@described(errors=(409,))
async def resume_task(
    provider: PathText, connector_id: PathText, task_id: PathText, parts: Injected
) -> dict[str, Task]:
    """Let a paused task run again."""
    return await _tell(parts, "resume", provider, connector_id, task_id)


@post("/connectors/{provider:str}/{connector_id:str}/pause", status_code=204)
@described(errors=(409,))
async def pause(provider: PathText, connector_id: PathText, parts: Injected) -> None:
    """Let no task of an installation run until it is resumed."""
    row = await parts.installing.find(provider, ConnectorID.parse(connector_id))
    await parts.operating.pause(row["id"])


@post("/connectors/{provider:str}/{connector_id:str}/resume", status_code=204)
@described(errors=(409,))
async def resume(provider: PathText, connector_id: PathText, parts: Injected) -> None:
    """Let the tasks of an installation run again, with the credentials it has."""
    row = await parts.installing.find(provider, ConnectorID.parse(connector_id))
    await parts.operating.resume(row["id"])


async def _tell(parts: Parts, verb: Verb, provider: str, connector_id: str, task_id: str) -> dict[str, Task]:
    row = await parts.installing.find(provider, ConnectorID.parse(connector_id))
    return {"data": show(await parts.operating.task(verb, row["id"], parse_uuid(task_id, "a task")))}


HANDLERS = [run_now, cancel, pause_task, resume_task, pause, resume]
