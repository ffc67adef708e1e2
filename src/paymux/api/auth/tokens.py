"""API tokens: random text that a client keeps, and of which the service knows the hash.

They are given to the service as ``name:scope+scope:sha256``, several between commas; a scope may be written
with or without its ``payments:``. A token is 256 random bits, so a plain hash tells nothing about it.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence

import msgspec

from paymux.api.auth.callers import Access, Caller

PREFIX = "pmx_"
_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LINE = re.compile(rf"(?P<name>{_NAME.pattern}):(?P<scopes>[a-z:+]+):(?P<hash>[0-9a-fA-F]{{64}})")
_SCOPES = {access.value.partition(":")[2]: access for access in Access}


class BadTokens(ValueError):
    """The list of tokens cannot be read."""


class Token(msgspec.Struct, frozen=True):
    """One token: whose it is, and the SHA-256 of it."""

    caller: Caller
    digest: bytes


class Tokens:
    """The tokens there are."""

    def __init__(self, tokens: Sequence[Token] = ()) -> None:
        self._tokens = tuple(tokens)

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def find(self, given: str) -> Caller | None:
        """Whose token this is; None when it is nobody's."""
        digest = _digest(given)
        found = None
        # All of them, whichever it is: how long it takes says nothing.
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token.caller
        return found


def parse(text: str) -> Tokens:
    """Read the setting.

    Raises:
        BadTokens: the message says what one looks like, and which is wrong by its place.
    """
    tokens: list[Token] = []
    for number, line in enumerate((one.strip() for one in text.split(",") if one.strip()), 1):
        match = _LINE.fullmatch(line)
        if not match:
            raise BadTokens(
                f"number {number} must look like name:read+write:sha256; make one with: paymux token new"
            )
        if any(token.caller.name == f"token:{match['name']}" for token in tokens):
            raise BadTokens(
                f"number {number} has the name of another one; the audit could not tell them apart"
            )
        caller = Caller(f"token:{match['name']}", frozenset(scopes(match["scopes"].split("+"))))
        tokens.append(Token(caller, bytes.fromhex(match["hash"])))
    return Tokens(tokens)


def scopes(words: Iterable[str]) -> list[Access]:
    """Read scopes.

    Raises:
        BadTokens: one of them is none.
    """
    found = []
    for word in words:
        short = word.removeprefix("payments:")
        if short not in _SCOPES:
            raise BadTokens(f"scopes are {', '.join(_SCOPES)}")
        found.append(_SCOPES[short])
    return found


def new(name: str, allowed: Sequence[Access]) -> tuple[str, str]:
    """Make a token; returns it, and its line for the setting.

    Raises:
        BadTokens: the name is none.
    """
    if not _NAME.fullmatch(name):
        raise BadTokens("a name is 1 to 64 letters, digits and ._-")
    token = PREFIX + secrets.token_urlsafe(_BYTES)
    words = "+".join(access.value.partition(":")[2] for access in allowed)
    return token, f"{name}:{words}:{_digest(token).hex()}"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
