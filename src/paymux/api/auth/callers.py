"""Who asks, and how they are turned away.

AccessDenied
├── NotAuthenticated   401: no token, or one that is no good
└── NotAllowed         403: a good one, that does not reach this far
IssuerAway             503: nobody can say for now whether it is good
"""

from enum import StrEnum

import msgspec

_REALM = 'Bearer realm="paymux"'


class Access(StrEnum):
    """What a caller must be allowed to, where anybody is asked."""

    READ = "payments:read"
    WRITE = "payments:write"
    CONFIG = "payments:config"


class Caller(msgspec.Struct, frozen=True):
    """Who asks, as the audit names them, and what they may do."""

    name: str
    scopes: frozenset[str]

    def may(self, access: Access) -> bool:
        """Whether they may do this. Whoever may write may read."""
        reads = access is Access.READ and Access.WRITE in self.scopes
        return reads or access in self.scopes


# Where nobody is asked.
ANYBODY = Caller("anonymous", frozenset(Access))


class AccessDenied(Exception):
    """The caller is turned away."""

    # What goes with the answer, by the name of the header.
    headers: dict[str, str]


class NotAuthenticated(AccessDenied):
    """There is no token, or it is no good."""

    def __init__(self, message: str, *, given: bool = True) -> None:
        """``given`` says that there was a token; what is wrong with it must hold no quotes."""
        super().__init__(message)
        wrong = f', error="invalid_token", error_description="{message}"' if given else ""
        self.headers = {"WWW-Authenticate": f"{_REALM}{wrong}"}


class NotAllowed(AccessDenied):
    """The caller may not do this."""

    def __init__(self, message: str, access: Access | None = None) -> None:
        """``access`` is what would be needed, where a token could have it."""
        super().__init__(message)
        needed = f'{_REALM}, error="insufficient_scope", scope="{access}"'
        self.headers = {"WWW-Authenticate": needed} if access else {}


class IssuerAway(Exception):
    """The issuer of the token cannot be asked for its keys at the moment. Try again."""
