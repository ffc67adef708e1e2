"""Configs of what is installed: shown without their secrets, and replaced."""

from typing import Any

from litestar import Request, get, post

from paymux.api.auth.callers import Access
from paymux.api.openapi.described import described
from paymux.api.requests import Injected, Parts, PathText, json_object
from paymux.api.v1.connectors import Config
from paymux.domain.ids import ConnectorID


@get("/connectors/{provider:str}/config")
@described(data=Config, access=Access.CONFIG)
async def read_only_config(provider: PathText, parts: Injected) -> dict[str, dict[str, Any]]:
    """Read the config of the only installation of a connector, secrets masked."""
    return await _config(parts, provider, None)


@get("/connectors/{provider:str}/{connector_id:str}/config")
@described(data=Config, access=Access.CONFIG)
async def read_config(
    provider: PathText, connector_id: PathText, parts: Injected
) -> dict[str, dict[str, Any]]:
    """Read the config of one installation, secrets masked."""
    return await _config(parts, provider, ConnectorID.parse(connector_id))


@post("/connectors/{provider:str}/config", status_code=204)
@described(body=Config, access=Access.CONFIG, errors=(409,))
async def update_only_config(provider: PathText, request: Request[Any, Any, Any], parts: Injected) -> None:
    """Replace the config of the only installation of a connector."""
    await parts.configuring.update(provider, None, await json_object(request))


@post("/connectors/{provider:str}/{connector_id:str}/config", status_code=204)
@described(body=Config, access=Access.CONFIG, errors=(409,))
async def update_config(
    provider: PathText, connector_id: PathText, request: Request[Any, Any, Any], parts: Injected
) -> None:
    """Replace the config of one installation."""
    await parts.configuring.update(provider, ConnectorID.parse(connector_id), await json_object(request))


async def _config(parts: Parts, provider: str, connector: ConnectorID | None) -> dict[str, dict[str, Any]]:
    row = await parts.installing.find(provider, connector)
    config = parts.installing.config_of(row)
    return {"data": config | {"name": row["name"], "provider": row["provider"]}}


HANDLERS = [read_only_config, read_config, update_only_config, update_config]
