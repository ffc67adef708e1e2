"""A page: all the records that are committed together, as the columns that the database takes in.

Folding happens here: what a page says twice about one thing is one thing. Of several snapshots of a
payment the last wins; reports with a time or a name of their own are all kept, the latest in front.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from paymux.domain.account import Account
from paymux.domain.aside import SetAside
from paymux.domain.balance import Balance
from paymux.domain.errors import DomainError
from paymux.domain.payment import Payment
from paymux.ingestion.rows import Row, Unusable, account_row, aside_row, balance_row, payment_row

# More than this in one transaction holds locks too long; a provider's page is rarely above 1,000.
RECORDS_MAX = 10_000
# Places in a payment's row.
_KEY, _FIRST, _HASH, _REPORT, _REPORTED = 0, 7, 15, 16, 18
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

R = TypeVar("R", bound=msgspec.Struct)


class PageTooLarge(ValueError):
    """A page holds at most 10,000 records. Ingest smaller pages, each with its checkpoint."""


class Page:
    """Rows of each kind, ready to be committed; ``seen`` counts the records they came from."""

    def __init__(
        self,
        installation: UUID,
        *,
        accounts: Iterable[Account | SetAside] = (),
        balances: Iterable[Balance | SetAside] = (),
        payments: Iterable[Payment | SetAside] = (),
        aside: Iterable[SetAside] = (),
    ) -> None:
        self.seen = 0
        self._installation = installation
        self._aside = [aside_row(record) for record in aside]
        self.accounts = _last(self._rows(accounts, account_row, "account"))
        self.balances = _rounds(self._rows(balances, balance_row, "balance"))
        self.payments = _reports(self._rows(payments, payment_row, "payment"))
        self.aside = _last(self._aside)
        if self.seen > RECORDS_MAX:
            raise PageTooLarge(f"{PageTooLarge.__doc__} This one has {self.seen}.")

    def _rows(self, records: Iterable[R | SetAside], make: Callable[[UUID, R], Row], kind: str) -> list[Row]:
        rows = []
        for record in records:
            self.seen += 1
            if isinstance(record, SetAside):
                self._aside.append(aside_row(record))
                continue
            try:
                rows.append(make(self._installation, record))
            except (Unusable, DomainError, UnicodeEncodeError, TypeError, AttributeError) as error:
                reason = str(error) or type(error).__name__
                raw = getattr(record, "raw", None) or msgspec.json.encode(repr(record), enc_hook=repr)
                self._aside.append(aside_row(SetAside(kind=kind, reason=reason, raw=raw)))
        return rows


def columns(rows: list[Row]) -> tuple[Any, ...] | None:
    """One tuple a column, or None for no rows."""
    return tuple(zip(*rows, strict=True)) if rows else None


def _last(rows: list[Row]) -> list[Row]:
    return list({row[0]: row for row in rows}.values())


def _rounds(rows: list[Row]) -> list[Row]:
    """Number the balances of one account and asset, oldest first; undated ones are the newest."""
    dated = sorted(rows, key=lambda row: (row[4] is None, row[4] or _NEVER))
    latest: dict[Any, Row] = {(row[0], row[2], row[4]): row for row in dated}
    counts: dict[Any, int] = {}
    out = []
    for row in latest.values():
        count = counts[row[0], row[2]] = counts.get((row[0], row[2]), 0) + 1
        out.append((*row, count))
    return out


def _reports(rows: list[Row]) -> list[Row]:
    """Add ``first_at`` and ``head`` to each row, and put the page's earliest amount on the heads."""
    if len({row[_KEY] for row in rows}) == len(rows):
        return [(*row, row[_REPORTED], True) for row in rows]
    by_key: dict[UUID, dict[UUID | None, Row]] = {}
    for row in rows:
        by_key.setdefault(row[_KEY], {})[row[_REPORT]] = row
    out = []
    for reports in by_key.values():
        # A report without a time is what the provider says now, so it is the latest.
        ordered = sorted(
            reports.values(),
            key=lambda row: (row[_REPORTED] is None, row[_REPORTED] or _NEVER, row[_REPORT] is None),
        )
        head, earliest = ordered[-1], ordered[0]
        out.extend((*row, row[_REPORTED], False) for row in ordered[:-1])
        out.append((*head[:_FIRST], earliest[_FIRST], *head[_FIRST + 1 :], earliest[_REPORTED], True))
    return out


def hashes(rows: list[Row]) -> tuple[list[UUID], list[UUID]]:
    """Keys and content hashes of payment rows, for asking which of them are new."""
    return [row[_KEY] for row in rows], [row[_HASH] for row in rows]
