"""From a provider's rows to records, one by one, so that a bad row costs only itself."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

from paymux.domain.aside import SetAside
from paymux.domain.errors import DomainError
from paymux.sdk.errors import SkipRecord

W = TypeVar("W")
R = TypeVar("R")


def mapped(rows: Iterable[W], mapper: Callable[[W], R], *, kind: str = "payment") -> Iterator[R | SetAside]:
    """Map each row; one that cannot be understood comes out set aside, with its raw form.

    Only errors that speak of the row are caught (SkipRecord, a broken rule of the domain, a missing
    key, a wrong type); anything else is a defect of the mapper and is let out.
    """
    for row in rows:
        try:
            yield mapper(row)
        except (
            SkipRecord,
            DomainError,
            msgspec.ValidationError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            skipped = error if isinstance(error, SkipRecord) else None
            raw = (skipped.raw if skipped else None) or (
                row if isinstance(row, str | bytes) else msgspec.json.encode(row, enc_hook=repr)
            )
            reason = str(error) if skipped else f"{type(error).__name__}: {error}"
            yield SetAside(kind=kind, raw=raw, reason=reason)
