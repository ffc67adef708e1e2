"""A mask: knows the secret values in use and blots them out of any text.

It stands between everything that is written for people (logs, errors) and the secrets a config
holds, so that neither a careless message nor a library's traceback can give one away.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from threading import Lock
from urllib.parse import quote, quote_plus

MASKED = "********"

# A shorter value is found inside ordinary words: blotting it out would make every text unreadable,
# tell by its absence what it is, and protect nothing that could not be guessed.
SECRET_LENGTH_MIN = 4

# Log lines repeat themselves (messages, ids), so a text that was looked at once is remembered; only
# short ones and not too many, because a remembered text is memory.
_REMEMBERED = 2048
_REMEMBERED_LENGTH_MAX = 256


# Secrets that one call deals with: learnt for good, those of a million calls would slow down every text.
_at_hand: ContextVar["Mask | None"] = ContextVar("at_hand", default=None)


@contextmanager
def hiding(values: Iterable[str]) -> Iterator[None]:
    """Have every mask blot these out, too, in this task and whatever it starts, until the block ends."""
    token = _at_hand.set(Mask(values))
    try:
        yield
    finally:
        _at_hand.reset(token)


class Mask:
    """Replaces each known secret in a text with ``********``.

    The look-up costs the same for one secret and for thousands: a text is searched only when four
    characters in a row begin some secret.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = Lock()
        self._known: frozenset[str] = frozenset()
        self._blot_out: Callable[[str], str] = str
        self._remembered: Callable[[str], str] = str
        self.add(values)

    def add(self, values: Iterable[str]) -> None:
        """Learn secrets, also as they look in a repr, in JSON and in a URL."""
        spellings = {
            spelling for value in values if len(value) >= SECRET_LENGTH_MIN for spelling in _spellings(value)
        }
        with self._lock:
            if not spellings <= self._known:
                self._known |= spellings
                self._blot_out = _blotter(self._known)
                self._remembered = lru_cache(_REMEMBERED)(self._blot_out)

    def __call__(self, text: str) -> str:
        """Return ``text`` without any known secret."""
        at_hand = _at_hand.get()
        if at_hand is not None:
            text = at_hand._blot_out(text)  # noqa: SLF001 - not itself: that would ask for what is at hand again
        return self._remembered(text) if len(text) <= _REMEMBERED_LENGTH_MAX else self._blot_out(text)

    def __repr__(self) -> str:
        return f"<Mask over {len(self._known)} spellings>"


def _spellings(value: str) -> set[str]:
    return {
        value,
        repr(value)[1:-1],
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(value, errors="replace"),
        quote(value, safe="", errors="replace"),
        quote_plus(value, errors="replace"),
    }


def _blotter(known: frozenset[str]) -> Callable[[str], str]:
    """Make the function that replaces ``known``, longest first: a secret may begin like another."""
    secrets = sorted(known, key=len, reverse=True)
    heads = frozenset((secret[0], secret[1], secret[2], secret[3]) for secret in secrets)

    def blot_out(text: str) -> str:
        if heads.isdisjoint(zip(text, text[1:], text[2:], text[3:], strict=False)):
            return text
        for secret in secrets:
            text = text.replace(secret, MASKED)
        return text

    return blot_out
