"""How well installations are, and the whole."""

from litestar import get

from paymux.api.requests import Injected, PathText
from paymux.domain.ids import ConnectorID
from paymux.services.checkup import InstallationHealth, Whole


@get("/health")
async def whole(parts: Injected) -> dict[str, Whole]:
    """All installations and the outbox; the status is that of the worst."""
    return {"data": await parts.checkup.whole()}


@get("/connectors/{provider:str}/{connector_id:str}/health")
async def of_installation(
    provider: PathText, connector_id: PathText, parts: Injected
) -> dict[str, InstallationHealth]:
    """One installation: its status, and what it follows from."""
    row = await parts.installing.find(provider, ConnectorID.parse(connector_id))
    return {"data": await parts.checkup.of(row["id"])}


HANDLERS = [whole, of_installation]
