"""Calls into a connector's code outside of a task: what it raises is its own doing, and is said as such."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from paymux.domain.mask import Mask
from paymux.ingestion.ingester import Superseded
from paymux.runtime.execution import Escaped, contained
from paymux.runtime.outcomes import describe
from paymux.runtime.registry import UnknownConnector
from paymux.sdk import BadConfig, ConnectorError, NotImplementedByConnector, TaskFailed
from paymux.storage.database import DatabaseError
from paymux.storage.vault import VaultError


class ConnectorFailed(RuntimeError):
    """The connector's own code failed. The message is the connector's."""


# Ours, or already in our own words.
_AS_IT_IS = (TaskFailed, NotImplementedByConnector, Superseded, UnknownConnector, VaultError, DatabaseError)


@contextmanager
def calling(mask: Mask, what: str) -> Iterator[None]:
    """Around one call of a connector's method; ``what`` it is called for, as in "install".

    Raises:
        BadConfig: as the connector raised it, secrets masked.
        ConnectorFailed: it raised anything else, from OSError to SystemExit.
    """
    try:
        with contained():
            yield
    except _AS_IT_IS:
        raise
    except BadConfig as error:
        fields = {mask(path): mask(wrong) for path, wrong in error.fields.items()}
        raise BadConfig(mask(str(error)), fields=fields) from None
    except Exception as error:
        if not isinstance(error, ConnectorError | OSError):
            structlog.get_logger().error(f"The connector's {what} failed", exc_info=error)
        text = str(error) if isinstance(error, Escaped) else describe(error)
        raise ConnectorFailed(f"The connector's {what} failed: {mask(text)}") from error
