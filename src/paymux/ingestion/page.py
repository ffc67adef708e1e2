"""A page: all the records that are committed together, as the columns that the database takes in.

Folding happens here: what a page says twice about one thing is one thing. Of several snapshots of a
payment the last wins; reports with a time or a name of their own are all kept.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from paymux.domain.account import Account
from paymux.domain.aside import SetAside
from paymux.domain.balance import Balance
from paymux.domain.errors import DomainError
from paymux.domain.payment import Payment
from paymux.ingestion.plain import plain_payments
from paymux.ingestion.rows import (
    Columns,
    Row,
    Unusable,
    account_row,
    aside_row,
    balance_row,
    payment_row,
)
from paymux.storage.database import Key

# More than this in one transaction holds locks too long; a provider's page is rarely above 1,000.
RECORDS_MAX = 10_000
# Characters of raw forms. It is one message to the database, which takes no more than a gigabyte.
RAWS_MAX = 256 * 1024 * 1024
# Places in a payment's row; in that of an account or a record set aside, that of the raw form.
_KEY, _RAW, _HASH, _REPORT, _REPORTED, _PLACE = 0, 12, 13, 14, 16, 17
_ACCOUNT_RAW, _ASIDE_RAW = 7, 3
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

R = TypeVar("R", bound=msgspec.Struct)


class PageTooLarge(ValueError):
    """A page holds 10,000 records and 256 MiB of raw forms at most. Ingest it in parts, each with a state."""


class Page:
    """Rows of each kind, payments in columns; ``seen`` counts the records they came from.

    Raises:
        PageTooLarge: when it holds more than RECORDS_MAX records, or RAWS_MAX characters of raw forms.
    """

    def __init__(
        self,
        installation: UUID,
        *,
        accounts: Iterable[Account | SetAside] = (),
        balances: Iterable[Balance | SetAside] = (),
        payments: Iterable[Payment | SetAside] = (),
        aside: Iterable[SetAside] = (),
    ) -> None:
        self._installation = installation
        self.aside = [aside_row(record) for record in aside]
        self.seen = len(self.aside)
        self.accounts = _last(self._rows(accounts, account_row, "account"))
        self.balances = _rounds(self._rows(balances, balance_row, "balance"))
        self.payments = self._payments(payments)
        _bounded(self.payments[_RAW] if self.payments else ())
        _bounded(row[_ACCOUNT_RAW] for row in self.accounts)
        _bounded(row[_ASIDE_RAW] for row in self.aside)

    @property
    def payments_only(self) -> bool:
        """Whether it holds nothing else."""
        return not (self.accounts or self.balances or self.aside)

    @property
    def kinds(self) -> dict[str, int]:
        """How many of each kind; what the page says twice is counted once."""
        return {"account": len(self.accounts), "balance": len(self.balances), "payment": count(self.payments)}

    def _payments(self, records: Iterable[Payment | SetAside]) -> Columns:
        read = list(islice(records, RECORDS_MAX + 1))
        fits = self.seen + len(read) <= RECORDS_MAX
        plain = plain_payments(self._installation, read) if fits else None
        if plain is None:
            return columns(_reports(self._rows(read, payment_row, "payment")))
        self.seen += len(read)
        return plain

    def _rows(self, records: Iterable[R | SetAside], make: Callable[[UUID, R], Row], kind: str) -> list[Row]:
        rows = []
        for record in records:
            self.seen += 1
            if self.seen > RECORDS_MAX:
                raise PageTooLarge(PageTooLarge.__doc__)
            if isinstance(record, SetAside):
                self.aside.append(aside_row(record))
                continue
            try:
                rows.append(make(self._installation, record))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a record costs only that record
                known = isinstance(error, Unusable | DomainError)
                reason = str(error) if known else f"{type(error).__name__}: {error}"
                self.aside.append(aside_row(SetAside(kind=kind, reason=reason, raw=_raw(record))))
        return rows


def _raw(record: Any) -> Any:
    """What a record was made from or, where it does not say, the record itself."""
    raw = record.raw if isinstance(record, Account | Payment) else None
    return raw if isinstance(raw, str | bytes) and raw else record


def columns(rows: list[Row]) -> Columns:
    """One tuple a column; nothing for no rows."""
    return tuple(zip(*rows, strict=True))


def count(found: Columns) -> int:
    """How many rows the columns are of."""
    return len(found[0]) if found else 0


def hashes(payments: Columns) -> tuple[Sequence[Key], Sequence[Key]]:
    """Keys and content hashes, for asking which of them are new."""
    return payments[_KEY], payments[_HASH]


def _bounded(raws: Iterable[str | bytes | None]) -> None:
    if sum(map(len, filter(None, raws))) > RAWS_MAX:
        raise PageTooLarge(PageTooLarge.__doc__)


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
    """Keep one row a report: of a payment's snapshots the last, of reports of one name the first."""
    if len({row[_KEY] for row in rows}) == len(rows):
        return rows  # nearly always
    kept: dict[tuple[UUID, UUID | None], Row] = {}
    for row in rows:
        report = row[_KEY], row[_REPORT]
        if row[_REPORT] is None:
            kept.pop(report, None)  # in the place of the last, too: reports without a time are in order
            kept[report] = row
        else:
            kept.setdefault(report, row)
    several = Counter(key for key, _ in kept)
    latest: dict[UUID, datetime] = {}
    for row in kept.values():
        if row[_REPORTED]:
            latest[row[_KEY]] = max(row[_REPORTED], latest.get(row[_KEY], _NEVER))
    undated = dict.fromkeys(several, -1)
    out = []
    for row in kept.values():
        undated[row[_KEY]] += row[_REPORTED] is None
        place = max(undated[row[_KEY]], 0) if several[row[_KEY]] > 1 else None
        out.append((*row[:_PLACE], place, latest.get(row[_KEY])))
    return out
