"""Connectors: what there is, what is installed, and installing it."""

from typing import Any

import msgspec
from litestar import Request, delete, get, post

from paymux.api.auth.callers import Access
from paymux.api.errors import NotBuilt
from paymux.api.openapi.described import described
from paymux.api.requests import Injected, PathText, json_object
from paymux.domain.ids import ConnectorID
from paymux.sdk.config import template
from paymux.storage import installations


class Installed(msgspec.Struct, rename={"connector_id": "connectorID"}):
    """One installation in the list; ``error`` is why a reset cannot be finished yet."""

    provider: str
    connector_id: str
    name: str
    status: str
    error: str
    enabled: bool = True


class New(msgspec.Struct, rename={"connector_id": "connectorID"}):
    """What was installed."""

    connector_id: str


class Field(msgspec.Struct, rename="camel"):
    """A field of a config."""

    data_type: str
    required: bool
    default_value: str


class Config(msgspec.Struct):
    """A config. Its other fields are the connector's: GET /connectors/configs lists them."""

    name: str = ""


# The contract of this interface names one connector, "connector", with one field, "key": clients that are
# generated from it refuse an answer without them.
_IN_CONTRACT = {"connector": {"key": {"dataType": "string", "required": False, "defaultValue": ""}}}


@get("/connectors")
async def list_installed(parts: Injected) -> dict[str, list[Installed]]:
    """List what is installed."""
    rows = await installations.listed(parts.database)
    return {
        "data": [
            Installed(
                row["provider"],
                ConnectorID(row["provider"], row["uuid"]).encode(),
                row["name"],
                row["status"],
                row["problem"] or "",
            )
            for row in rows
        ]
    }


@get("/connectors/configs")
@described(data=dict[str, dict[str, Field]])
async def list_templates(parts: Injected) -> dict[str, dict[str, Any]]:
    """List every connector with the fields of its config."""
    templates = {found.provider(): template(found.config_class) for found in parts.registry}
    return {"data": templates | _IN_CONTRACT}


@post("/connectors/{provider:str}", status_code=201)
@described(body=Config, data=New, access=Access.CONFIG)
async def install(
    provider: PathText, request: Request[Any, Any, Any], parts: Injected
) -> dict[str, dict[str, str]]:
    """Install a connector; the body is its config."""
    installed = await parts.installing.install(provider, await json_object(request))
    return {"data": {"connectorID": installed.encode()}}


@delete("/connectors/{provider:str}", status_code=204)
@described(access=Access.CONFIG, errors=(409,))
async def uninstall_only(provider: PathText, parts: Injected) -> None:
    """Uninstall the only installation of a connector."""
    await parts.installing.uninstall(provider, None)


@delete("/connectors/{provider:str}/{connector_id:str}", status_code=204)
@described(access=Access.CONFIG, errors=(409,))
async def uninstall(provider: PathText, connector_id: PathText, parts: Injected) -> None:
    """Uninstall one installation."""
    await parts.installing.uninstall(provider, ConnectorID.parse(connector_id))


@post("/connectors/{provider:str}/reset", status_code=204)
@described(access=Access.CONFIG, errors=(409,))
async def reset_only(provider: PathText, parts: Injected) -> None:
    """Reset the only installation of a connector."""
    await parts.installing.reset(provider, None)


@post("/connectors/{provider:str}/{connector_id:str}/reset", status_code=204)
@described(access=Access.CONFIG, errors=(409,))
async def reset(provider: PathText, connector_id: PathText, parts: Injected) -> None:
    """Delete all that an installation brought in, and begin anew with the same config and id."""
    await parts.installing.reset(provider, ConnectorID.parse(connector_id))


@post("/connectors/{provider:str}/transfers", status_code=204)
@described(errors=(501,))
async def transfer(provider: PathText, parts: Injected) -> None:
    """Refuse: the service that this interface comes from has never done it, either."""
    await parts.installing.find(provider, None)
    raise NotBuilt(f"{NotBuilt.__doc__} Move money with POST /transfer-initiations.")


HANDLERS = [list_installed, list_templates, install, uninstall_only, uninstall, reset_only, reset, transfer]
