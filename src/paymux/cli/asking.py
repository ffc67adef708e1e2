"""Asks a running service over HTTP, on behalf of the operators' commands."""

import json
import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import quote

import typer

from paymux import __version__

# Seconds. A service that is there takes a connection at once; an install talks to a provider.
_CONNECT, _ANSWER = 5.0, 150.0
# Rows a request: what the service gives at most.
_PAGE = "100"
_UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
# In the environment alone: whatever stands on a command line is seen by everybody on the machine.
TOKEN = "PAYMUX_TOKEN"  # noqa: S105 - the name of a variable

Url = Annotated[
    str,
    typer.Option(
        "--url", envvar="PAYMUX_URL", show_envvar=False, help="The service to ask; PAYMUX_URL says which."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Connector = Annotated[str | None, typer.Option("--connector", help="Of this installation alone.")]
Everything = Annotated[bool, typer.Option("--all", help="All of them; a hundred otherwise.")]
URL = "http://127.0.0.1:8080"


class Failed(Exception):
    """What was asked for did not happen; the message is a sentence for the operator."""


class NoSuchThing(Failed):
    """The service knows no such thing."""


class Service:
    """A running service, as its HTTP interface shows it.

    Every method raises Failed when the service cannot be asked, or refuses.
    """

    def __init__(self, url: str) -> None:
        import httpx

        self._url = url if "://" in url else f"http://{url}"
        try:
            address = httpx.URL(self._url)
        except httpx.InvalidURL:
            address = httpx.URL("")
        if address.scheme not in {"http", "https"} or not address.host:
            raise typer.BadParameter(f"{url!r} is no URL such as {URL}", param_hint="--url")
        self._http = httpx.Client(
            base_url=address,
            headers={"User-Agent": f"paymux/{__version__}", **_login()},
            timeout=httpx.Timeout(_ANSWER, connect=_CONNECT),
            # A proxy that the environment names does not lead back to this machine.
            trust_env=not _is_local(address.host),
        )

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The ``data`` of an answer."""
        return self._ask("GET", path, params=params)["data"]

    def post(self, path: str, body: object = None) -> Any:
        """The ``data`` of an answer, None where there is none."""
        return (self._ask("POST", path, body=body) or {}).get("data")

    def delete(self, path: str) -> None:
        """Take it away."""
        self._ask("DELETE", path)

    def rows(self, path: str, params: Mapping[str, str], *, everything: bool) -> tuple[list[Any], bool]:
        """The rows of a list, a hundred or ``everything``, and whether there are more."""
        page = self._ask("GET", path, params={"pageSize": _PAGE, **params})["cursor"]
        rows = list(page["data"])
        while everything and page.get("next"):
            page = self._ask("GET", path, params={"cursor": page["next"]})["cursor"]
            rows += page["data"]
        return rows, bool(page.get("hasMore"))

    def installations(self) -> list[dict[str, Any]]:
        """All that are installed, oldest first."""
        return list(self.get("/connectors"))

    def installation(self, named: str | None) -> dict[str, Any]:
        """The one of this connectorID, of this name, or alone of this provider; without a name, the only one.

        Exactly spelled, a name comes before a provider: the first ``example`` is called that as well.
        """
        found = self.installations()
        if named is None:
            return _only(found, "No connector is installed.", "--connector says which one is meant")
        by_field = (
            [row for row in found if named in {row["connectorID"], row["name"]}],
            [row for row in found if row["provider"].casefold() == named.casefold()],
            [row for row in found if row["name"].casefold() == named.casefold()],
        )
        for matching in filter(None, by_field):
            return _only(matching, "", f"name one of them rather than {named}")
        raise NoSuchThing(f"Nothing called {named} is installed. See: paymux connectors list")

    def _ask(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: object = None
    ) -> Any:
        import httpx

        try:
            answer = self._http.request(method, path, params=params, json=body)
        except httpx.ConnectError:
            raise Failed(
                f"Nothing answers at {self._url}. Start it with: paymux serve. If it is elsewhere, say where"
                " with --url or PAYMUX_URL."
            ) from None
        except httpx.TimeoutException:
            raise Failed(f"{self._url} did not answer in time. Is it well? See: paymux health") from None
        except httpx.HTTPError as error:
            raise Failed(f"{self._url} could not be asked: {error}.") from None
        try:
            content = json.loads(answer.content) if answer.content else None
        except ValueError:
            content = ""
        if answer.is_success and isinstance(content, dict | None):
            return content
        if answer.status_code in (_UNAUTHENTICATED, _FORBIDDEN) and isinstance(content, dict):
            raise Failed(f"{content.get('errorMessage')} {TOKEN} says which token to send.")
        if isinstance(content, dict) and "errorMessage" in content:
            kind = NoSuchThing if answer.status_code == _NOT_FOUND else Failed
            raise kind(content["errorMessage"])
        raise Failed(f"What answers at {self._url} is not paymux (HTTP {answer.status_code}).")


def _login() -> dict[str, str]:
    token = os.environ.get(TOKEN, "").strip()
    if not token.isascii() or not token.isprintable():
        raise Failed(f"{TOKEN} is no token.")
    return {"Authorization": f"Bearer {token}"} if token else {}


def at(installation: Mapping[str, Any], *rest: str) -> str:
    """The path of an installation, or of something of it."""
    parts = (installation["provider"].lower(), installation["connectorID"], *rest)
    return "/".join(("/connectors", *(quote(part, safe="") for part in parts)))


def _only(found: list[dict[str, Any]], none: str, several: str) -> dict[str, Any]:
    if not found:
        raise NoSuchThing(none)
    if len(found) > 1:
        names = ", ".join(row["name"] for row in found)
        raise Failed(f"There are {len(found)}: {names}. Please {several}.")
    return found[0]


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
