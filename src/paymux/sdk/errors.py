"""What a connector may raise, sorted by what the runtime should do about it.

ConnectorError
├── TryAgain                 the wire or the provider failed; the task runs again, with backoff
│   └── SlowDown             the provider said when to come back
├── AskForLogin              the credentials no longer work; tasks pause until the config changes
├── Refused                  the provider said no; final, never retried
├── Unknown                  the request may have been carried out; look before you ask again
├── SkipRecord               one record makes no sense; it is set aside and the batch goes on
├── BadConfig                this configuration can never work; install is refused
├── NotImplementedByConnector  asked for something the connector has no method for
└── TaskFailed               a task that was waited for (``Schedule.now_sync()``) did not succeed

Pick the class by the remedy, not by the HTTP status. Anything else that a task lets out is a
defect in the connector: the run fails and says so.
"""

from collections.abc import Mapping
from datetime import timedelta


class ConnectorError(Exception):
    """Something a connector expects to go wrong went wrong."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class TryAgain(ConnectorError):
    """The provider could not be reached or could not answer."""


class SlowDown(TryAgain):
    """The provider asked us to wait."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(f"The provider asked us to wait {wait.total_seconds():g} s.")
        self.wait = wait


class AskForLogin(ConnectorError):
    """The provider no longer accepts these credentials."""


class Refused(ConnectorError):
    """The provider refused the request."""


class Unknown(ConnectorError):
    """The request was sent and no answer came back: money may have moved."""


class SkipRecord(ConnectorError):
    """A record could not be understood."""

    def __init__(self, message: str = "", *, raw: str | bytes | None = None, kind: str = "payment") -> None:
        super().__init__(message)
        self.raw = raw
        self.kind = kind


class BadConfig(ConnectorError):
    """The configuration cannot work."""

    def __init__(self, message: str = "", *, fields: Mapping[str, str] | None = None) -> None:
        """Say what is wrong with each field: ``fields`` maps its path as shown to what is wrong."""
        self.fields = dict(fields or {})
        super().__init__(message or "; ".join(f"{path}: {what}" for path, what in self.fields.items()))


class NotImplementedByConnector(ConnectorError):
    """This connector cannot do that."""


class TaskFailed(ConnectorError):
    """The task that was waited for failed."""
