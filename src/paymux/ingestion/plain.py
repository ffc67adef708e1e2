"""Payments that have nothing odd about them, all at once.

What ``payment_row`` looks at record by record is looked at here column by column, in half of the time.
Nearly every page is like that. Of one that is not, ``payment_row`` finds out which record it is, and why.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from msgspec.structs import astuple

from paymux.domain.ids import key_prefix
from paymux.domain.money import Amount, Asset
from paymux.domain.payment import Payment, PaymentScheme, PaymentStatus, PaymentType
from paymux.domain.times import NO_TIME
from paymux.ingestion.rows import LAST_SECOND, RAW_MAX, REFERENCE_MAX, Columns, digest, encode, metadata_text

_RAWS = {str, bytes, type(None)}


def plain_payments(installation: UUID, records: list[Any]) -> Columns | None:
    """Columns of what ``payment_row`` makes of each of them; None when one needs a closer look."""
    if not records:
        return ()
    try:
        return _columns(installation, records) if _all(records, Payment) else None
    except Exception:  # noqa: BLE001 - whatever it is, it will be told of the record that it is about
        return None


def _columns(installation: UUID, records: list[Payment]) -> Columns | None:
    # In the order of the record's fields, all of them: with another one, nothing is plain.
    (
        references, kinds, statuses, amounts, initials, schemes, created, sources, destinations, metadata,
        raws, names, times,
    ) = zip(*map(astuple, records), strict=True)  # fmt: skip
    none = (None,) * len(records)
    if not (
        len(set(references)) == len(records)
        and all(map(_references, (references, _present(sources), _present(destinations))))
        and all(map(_all, (kinds, statuses, schemes), (PaymentType, PaymentStatus, PaymentScheme)))
        and _all(amounts, Amount)
        and initials == names == times == none
        and _instants(_present(created))
        and _all(_present(metadata), dict)
        and set(map(type, raws)) <= _RAWS
        and max(map(len, _present(raws)), default=0) <= RAW_MAX
    ):
        return None
    assets = tuple([_text(one.asset) for one in amounts])
    minors = tuple([str(one.minor) for one in amounts])
    kept = tuple(map(metadata_text, metadata)) if any(metadata) else none
    what = references, kinds, statuses, schemes, assets, minors
    rest = sources, destinations, created, kept
    # Where nobody says what the amount was at first, it was the same.
    contents = map(encode, zip(*what, minors, *rest, none, none, strict=True))
    prefix = key_prefix(installation, "payment")
    keys = tuple([digest(prefix + reference.encode()) for reference in references])
    return (keys, *what, none, *rest, raws, tuple(map(digest, contents)), none, none, none, none, none)


def _present(column: tuple[Any, ...]) -> list[Any]:
    return [value for value in column if value is not None]


def _all(values: Sequence[Any], kind: type) -> bool:
    return set(map(type, values)) <= {kind}


def _references(values: Sequence[Any]) -> bool:
    together = "".join(values)
    short = max(map(len, values), default=0) <= REFERENCE_MAX
    return short and _all(values, str) and all(values) and together.isascii() and "\0" not in together


def _instants(values: Sequence[Any]) -> bool:
    return _all(values, datetime) and all(
        value.tzinfo is UTC and NO_TIME < value <= LAST_SECOND for value in values
    )


_text = lru_cache(1024)(Asset.__str__)
