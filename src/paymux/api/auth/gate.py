"""The gate: before any handler runs, who asks is found out, and whether they may.

Where nobody is asked to log in, browsers are the danger: any page can make one send requests to this
machine. What a page of another site sends is turned away, and, where only this machine is listened to, what
comes under a name that somebody else may own.
"""

from collections.abc import Collection
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from paymux.api.auth.callers import ANYBODY, Caller, NotAllowed, NotAuthenticated
from paymux.api.auth.issuers import Issuers
from paymux.api.auth.tokens import Tokens
from paymux.api.openapi import described

_LOGIN = "Send a token: Authorization: Bearer …"
_SCHEME = "bearer"
_SAFE = {"GET", "HEAD", "OPTIONS"}

Connection = ASGIConnection[Any, Any, Any, Any]


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the service lets in. Without tokens and issuers that is everybody.

    ``origins`` are sites whose pages may ask; ``local`` says that this machine alone can.
    """

    tokens: Tokens = msgspec.field(default_factory=Tokens)
    issuers: Issuers = msgspec.field(default_factory=Issuers)
    origins: Collection[str] = ()
    local: bool = False

    @property
    def asks(self) -> bool:
        """Whether callers must say who they are."""
        return bool(self.tokens) or bool(self.issuers)

    async def guard(self, connection: Connection, handler: BaseRouteHandler) -> None:
        """Let a request pass, and note whose it is.

        Raises:
            NotAuthenticated, NotAllowed, IssuerAway: as they say.
        """
        method = str(connection.scope.get("method", ""))
        if not isinstance(handler, HTTPRouteHandler) or method == "OPTIONS":
            return
        access = described.of(handler).needs(method)
        if access is None:
            return
        if not self.asks:
            self._not_from_elsewhere(connection, method)
            connection.state.caller = ANYBODY
            return
        caller = await self._caller(connection.headers.get("authorization", ""))
        connection.state.caller = caller
        if not caller.may(access):
            raise NotAllowed(f"This needs the scope {access}, which the token does not have.", access)

    async def _caller(self, authorization: str) -> Caller:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != _SCHEME or not token.strip():
            raise NotAuthenticated(_LOGIN, given=False)
        found = self.tokens.find(token.strip())
        if found is not None:
            return found
        if not self.issuers:
            raise NotAuthenticated("The token is none of those that this service knows.")
        return await self.issuers.find(token.strip())

    def _not_from_elsewhere(self, connection: Connection, method: str) -> None:
        """Turn away what a page of another site has a browser send."""
        host, origin = connection.headers.get("host", ""), connection.headers.get("origin")
        if self.local and not is_local(host):
            raise NotAllowed(
                f"Without authentication this service answers under names of its own machine, not"
                f" {host[:100]!r}. Where a proxy decides who may ask, say so with PAYMUX_AUTH=off."
            )
        if method in _SAFE or origin is None or origin in self.origins:
            return
        if urlsplit(origin).netloc.lower() != host.lower():
            raise NotAllowed(
                "A page of another site may not write here. Name the site in PAYMUX_CORS_ORIGINS if it may."
            )


def is_local(host: str) -> bool:
    """Whether a name is none that the owner of a domain can point here: an address, or a name of one word."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return (bool(name) and "." not in name.removesuffix(".localhost")) or bool(ip_address(name))
    except ValueError:
        return False
