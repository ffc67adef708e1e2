"""What stands between a client and the handlers: who is let in, from which sites, and for how long."""

from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from litestar.config.cors import CORSConfig

from paymux.api.auth import tokens
from paymux.api.auth.gate import Gate, is_local
from paymux.api.auth.issuers import Issuer, Issuers

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_HEADERS = ["Authorization", "Content-Type", "Accept", "Idempotency-Key", "X-Request-Id"]
# Seconds that a browser remembers what a site may do.
_REMEMBERED = 600


class BadEdge(ValueError):
    """What was said of the edge cannot be used; ``setting`` is the name of what is wrong."""

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """The gate, the sites whose pages may read answers, and how many seconds things may take.

    ``body_seconds`` is for a body to come in, ``answer_seconds`` for an answer to begin.
    """

    gate: Gate = msgspec.field(default_factory=Gate)
    origins: Sequence[str] = ()
    body_seconds: float = 30
    answer_seconds: float = 120

    @property
    def cors(self) -> CORSConfig | None:
        """As the framework wants it; None where only pages of the service itself may read."""
        if not self.origins:
            return None
        return CORSConfig(
            allow_origins=list(self.origins),
            allow_methods=list(_METHODS),  # type: ignore[arg-type]  # a list of its literals
            allow_headers=list(_HEADERS),
            expose_headers=["X-Request-Id", "WWW-Authenticate"],
            max_age=_REMEMBERED,
        )


def edge(
    *,
    auth: Literal["required", "off"] | None,
    api_tokens: str,
    issuers: str,
    audience: str,
    cors_origins: str,
    body_seconds: float,
    answer_seconds: float,
) -> Edge:
    """Read all of it, each as the setting of its name has it.

    Raises:
        BadEdge: something cannot be used, or does not go together.
    """
    sites = _origins(cors_origins)
    try:
        known = tokens.parse(api_tokens)
    except tokens.BadTokens as error:
        raise BadEdge("api_tokens", str(error)) from None
    urls = [_url(url) for url in _listed(issuers)]
    if urls and not audience:
        raise BadEdge("auth_audience", "must say whom the tokens of PAYMUX_AUTH_ISSUERS are for")
    asks = bool(known) or bool(urls)
    if auth == "required" and not asks:
        raise BadEdge(
            "auth", "is required, so PAYMUX_API_TOKENS or PAYMUX_AUTH_ISSUERS must say whom to let in"
        )
    if auth == "off" and asks:
        raise BadEdge("auth", "is off, so neither PAYMUX_API_TOKENS nor PAYMUX_AUTH_ISSUERS may be set")
    trusted = Issuers([Issuer(url) for url in urls], audience)
    gate = Gate(tokens=known, issuers=trusted, origins=sites, local=auth is None and not asks)
    return Edge(gate=gate, origins=sites, body_seconds=body_seconds, answer_seconds=answer_seconds)


def _origins(text: str) -> list[str]:
    found = _listed(text)
    for origin in found:
        parts = urlsplit(origin)
        if origin != "*" and (
            parts.scheme not in {"http", "https"} or origin != f"{parts.scheme}://{parts.netloc}"
        ):
            raise BadEdge("cors_origins", "must be sites such as https://console.example.com, or *")
    return found


def _url(text: str) -> str:
    parts = urlsplit(text)
    # Whoever can change its answers on the way makes tokens for everybody; within a network, that is its own.
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_local(parts.netloc))
    if not safe or not parts.netloc or parts.query or parts.fragment:
        raise BadEdge("auth_issuers", "must be https URLs such as https://login.example.com/realms/main")
    return text


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]
