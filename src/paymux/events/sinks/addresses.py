"""Addresses of sinks, as ``PAYMUX_SINKS`` lists them: words and URLs, each with a name or without.

``log``, ``none``, ``https://host/path#whsec_…``, ``nats://host``, ``billing=kafka://host:9092``.
"""

import re
from base64 import b64decode
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

import msgspec

LOG, NONE = "log", "none"
WEBHOOK = ("https", "http")
BROKERS = ("nats", "tls", "redis", "rediss", "amqp", "amqps", "kafka", "kafkas")
# Beyond any list that is meant so; each is a connection to the database.
SINKS_MAX = 20

_NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_.-]{0,62})=(.+)", re.DOTALL)
# The recommended range of Standard Webhooks, in bytes.
_SECRET = range(24, 65)
_WHSEC = "whsec_"
# A value in a URL's query that is so long may be a token; a shorter one, such as ``true``, is a word.
_TOKEN_MIN = 12


class BadSinks(ValueError):
    """What is wrong with the list of sinks; the message holds nothing of a URL but its scheme and host."""


class Address(msgspec.Struct, frozen=True):
    """One sink: its name, its scheme (or ``log``, ``none``), its URL, and what signs what is sent there."""

    name: str
    scheme: str
    url: str = ""
    signing: tuple[str, ...] = ()

    @property
    def secrets(self) -> set[str]:
        """What must not be seen anywhere."""
        parts = urlsplit(self.url)
        values = {value for _, value in parse_qsl(parts.query) if len(value) >= _TOKEN_MIN}
        password = {unquote(parts.password), parts.password} if parts.password else set()
        return {*self.signing, *password, *values}


def addresses(text: str) -> list[Address]:
    """Read a list.

    Raises:
        BadSinks: the message says which one is wrong, and how.
    """
    found = [_address(one.strip()) for one in text.split(",") if one.strip()]
    names = [one.name for one in found]
    if not 1 <= len(found) <= SINKS_MAX:
        raise BadSinks(f"must list 1 to {SINKS_MAX} sinks")
    for name in names:
        if names.count(name) > 1:
            raise BadSinks(f"has two sinks called {name}; tell them apart, such as first={name}")
    return found


def _address(text: str) -> Address:
    named = _NAMED.fullmatch(text)
    name, where = (named[1], named[2]) if named else ("", text)
    if where in (LOG, NONE):
        return Address(name or where, where)
    try:
        parts = urlsplit(where)
        port = parts.port
    except ValueError:
        raise BadSinks("has a URL that is none") from None
    if parts.scheme not in (*WEBHOOK, *BROKERS) or not parts.hostname:
        known = f"{LOG}, {NONE}, " + ", ".join(f"{scheme}://…" for scheme in (*WEBHOOK, *BROKERS))
        raise BadSinks(f"must list sinks, each one of {known}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown = urlunsplit((parts.scheme, f"{host}:{port}" if port else host, parts.path, "", ""))
    bare = urlunsplit(parts._replace(fragment=""))
    if parts.scheme in WEBHOOK:
        return Address(name or shown, parts.scheme, bare, _signing(parts, host))
    return Address(name or shown, parts.scheme, bare)


def _signing(parts: SplitResult, host: str) -> tuple[str, ...]:
    """The secrets behind the URL: several while one replaces another."""
    secrets = tuple(one for one in parts.fragment.split("#") if one)
    if not secrets:
        raise BadSinks(
            f"{parts.scheme}://{host}: put the secret that signs its webhooks behind the URL, as"
            ' #whsec_…; make one with: echo "whsec_$(openssl rand -base64 32)"'
        )
    for secret in secrets:
        if not secret.startswith(_WHSEC) or len(key_of(secret)) not in _SECRET:
            raise BadSinks(
                f"{parts.scheme}://{host}: its secret must be whsec_ and base64 of {_SECRET[0]} to"
                f' {_SECRET[-1]} bytes; make one with: echo "whsec_$(openssl rand -base64 32)"'
            )
    return secrets


def key_of(secret: str) -> bytes:
    """The bytes of a ``whsec_…``; none when it is not well written."""
    try:
        return b64decode(secret.removeprefix(_WHSEC), validate=True)
    except ValueError:
        return b""
