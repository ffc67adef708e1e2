"""JWTs of issuers that the operator trusts: their keys by OIDC discovery, kept, and fetched when they change.

A token says who issued it. It is believed when that issuer is one of ours, the signature is by one of its
keys (asymmetric ones only: what can check must not be able to sign), it is for us, and its time is now.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import jwt
import structlog

from paymux.api.auth.callers import Access, Caller, IssuerAway, NotAuthenticated

# By the type of key that signs with them.
ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
# Seconds that clocks may differ.
LEEWAY = 30
# Seconds after which keys are asked for anew; how often at most, whatever key ids tokens name; and for how
# long the last ones known are believed while the issuer does not answer.
FRESH, PAUSE, STALE = 600.0, 15.0, 24 * 3_600.0
_PATIENCE = 5.0
_NAME_MAX = 200
_WRONG: list[tuple[type[Exception], str]] = [
    (jwt.ExpiredSignatureError, "The token has expired."),
    (jwt.ImmatureSignatureError, "The token is not valid yet."),
    (jwt.InvalidAudienceError, "The token is for another audience."),
    (jwt.MissingRequiredClaimError, "The token lacks a claim: exp, iss and aud are needed."),
    (jwt.InvalidSignatureError, "The signature of the token is not by a key of its issuer."),
]
_MALFORMED = "The token is neither an API token of this service nor a JWT."


class Issuer:
    """One issuer, and its keys as far as they are known."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self._clock = clock
        self._keys: Sequence[jwt.PyJWK] = ()
        self._fetched: float | None = None
        self._tried: float | None = None
        self._turn = asyncio.Lock()

    async def key(self, kid: str | None) -> jwt.PyJWK | None:
        """The key of this id, or the only one where a token names none; None where there is no such key.

        Raises:
            IssuerAway: no keys are known, and none can be had.
        """
        if self._since(self._fetched) > FRESH or (
            self._find(kid) is None and self._since(self._tried) > PAUSE
        ):
            async with self._turn:
                # Somebody else may have fetched them while this one waited.
                if self._since(self._tried) > PAUSE:
                    await self._refresh()
        if self._since(self._fetched) > STALE:
            raise IssuerAway(IssuerAway.__doc__)
        return self._find(kid)

    def _since(self, moment: float | None) -> float:
        return float("inf") if moment is None else self._clock() - moment

    def _find(self, kid: str | None) -> jwt.PyJWK | None:
        found = [key for key in self._keys if kid is None or key.key_id == kid]
        return found[0] if len(found) == 1 else None

    async def _refresh(self) -> None:
        self._tried = self._clock()
        try:
            async with httpx.AsyncClient(timeout=_PATIENCE) as http:
                found = await _keys(http, self.url)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
            log = structlog.get_logger().bind(component="auth", issuer=self.url)
            log.warning("The keys of an issuer could not be fetched", error=repr(error))
        else:
            self._keys, self._fetched = found, self._clock()


async def _keys(http: httpx.AsyncClient, issuer: str) -> list[jwt.PyJWK]:
    configuration = await _get(http, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if configuration["issuer"] != issuer:
        raise ValueError(f"it calls itself {configuration['issuer']!r}")
    found = await _get(http, configuration["jwks_uri"])
    return [key for one in found["keys"] if (key := _key(one)) is not None]


async def _get(http: httpx.AsyncClient, url: str) -> Any:
    answer = await http.get(url)
    answer.raise_for_status()
    return answer.json()


def _key(wire: Mapping[str, Any]) -> jwt.PyJWK | None:
    """A key that signs; None for those for something else, and for what cannot be read."""
    if wire.get("kty") not in ALGORITHMS or wire.get("use", "sig") != "sig":
        return None
    try:
        return jwt.PyJWK(dict(wire))
    except jwt.PyJWTError:
        return None


class Issuers:
    """The issuers that are trusted, and the audience that tokens must be for."""

    def __init__(self, issuers: Sequence[Issuer] = (), audience: str = "") -> None:
        self._issuers = {issuer.url: issuer for issuer in issuers}
        self._audience = audience

    def __bool__(self) -> bool:
        return bool(self._issuers)

    async def find(self, token: str) -> Caller:
        """Whose token this is.

        Raises:
            NotAuthenticated: it is no good; the message says why, and quotes nothing of it.
            IssuerAway: nobody can say for now.
        """
        try:
            header = jwt.get_unverified_header(token)
            named = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise NotAuthenticated(_MALFORMED) from None
        issuer = self._issuers.get(named) if isinstance(named, str) else None
        if issuer is None:
            raise NotAuthenticated("The issuer of the token is none that this service trusts.")
        algorithm, kid = header.get("alg"), header.get("kid")
        if not any(algorithm in several for several in ALGORITHMS.values()):
            raise NotAuthenticated("The token is signed in a way that this service does not take.")
        key = await issuer.key(kid)
        if key is None or algorithm not in ALGORITHMS[key.key_type or ""]:
            raise NotAuthenticated("The token is signed with a key that its issuer does not show.")
        return _caller(issuer.url, self._verified(token, key, str(algorithm), issuer.url))

    def _verified(self, token: str, key: jwt.PyJWK, algorithm: str, issuer: str) -> Mapping[str, Any]:
        try:
            return jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, TypeError, ValueError) as error:
            why = next((said for kind, said in _WRONG if isinstance(error, kind)), "The token is not valid.")
            raise NotAuthenticated(why) from None


def _caller(issuer: str, claims: Mapping[str, Any]) -> Caller:
    name = next((claims[one] for one in ("sub", "client_id", "azp") if isinstance(claims.get(one), str)), "?")
    said = claims.get("scope", claims.get("scp", ()))
    words = said.split() if isinstance(said, str) else said
    scopes = {word for word in words if isinstance(word, str)} if isinstance(words, Sequence) else set()
    return Caller(f"{issuer}#{name[:_NAME_MAX]}", frozenset(scopes & set(Access)))
