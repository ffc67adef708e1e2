"""From a provider's rows to records, one by one, so that a bad row costs only itself."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

from paymux.domain.aside import SetAside
from paymux.domain.errors import DomainError
from paymux.sdk.errors import SkipRecord

W = TypeVar("W")
R = TypeVar("R")

# What indexing, converting and calculating raise over a value that is not what it should be.
_OF_THE_ROW = (DomainError, msgspec.ValidationError, LookupError, TypeError, ValueError, AttributeError,
               ArithmeticError)  # fmt: skip


def mapped(rows: Iterable[W], mapper: Callable[[W], R], *, kind: str = "payment") -> Iterator[R | SetAside]:
    """Map each row; one that cannot be understood comes out set aside, with its raw form.

    Only errors that speak of the row are caught (SkipRecord, a broken rule of the domain, a missing
    key, a wrong type); anything else, such as a network error, concerns more than the row and is let out.
    """
    for row in rows:
        try:
            record: R | SetAside = mapper(row)
        except SkipRecord as error:
            record = SetAside(
                kind=kind, raw=_shown(row) if error.raw is None else error.raw, reason=str(error)
            )
        except _OF_THE_ROW as error:
            record = SetAside(kind=kind, raw=_shown(row), reason=f"{type(error).__name__}: {error}")
        yield record


def _shown(row: object) -> str | bytes:
    if isinstance(row, str | bytes):
        return row
    try:
        return msgspec.json.encode(row, enc_hook=repr)
    except (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError):
        return repr(row)
