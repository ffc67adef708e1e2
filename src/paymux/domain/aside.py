"""A record that could not be understood, kept with its raw form and the reason.

It is counted and shown, and never keeps the good ones from coming in.
"""

import msgspec


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """One record that was set aside. ``kind`` is what it would have been, such as ``payment``."""

    reason: str
    kind: str = "payment"
    raw: str | bytes | None = None
