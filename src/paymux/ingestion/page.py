"""A page: all the records that are committed together, as the columns that the database takes in.

Folding happens here: what a page says twice about one thing is one thing. Of several snapshots of a
payment the last wins; reports with a time or a name of their own are all kept.
"""

from collections import Counter
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
from paymux.storage.database import Key

# More than this in one transaction holds locks too long; a provider's page is rarely above 1,000.
RECORDS_MAX = 10_000
# Characters of raw forms. It is one message to the database, which takes no more than a gigabyte.
RAWS_MAX = 256 * 1024 * 1024
# Places in a payment's row, and that of the raw form in an account's.
_KEY, _RAW, _HASH, _REPORT, _REPORTED, _PLACE = 0, 14, 15, 16, 18, 19
_ACCOUNT_RAW = 7
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

R = TypeVar("R", bound=msgspec.Struct)


class PageTooLarge(ValueError):
    """A page holds 10,000 records and 256 MiB of raw forms at most. Ingest it in parts, each with a state."""


class Page:
    """Rows of each kind, ready to be committed; ``seen`` counts the records they came from.

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
        self.payments = _reports(self._rows(payments, payment_row, "payment"))
        for rows, place in (self.accounts, _ACCOUNT_RAW), (self.payments, _RAW), (self.aside, -1):
            raws = sum(len(row[place]) for row in rows if row[place])
            if raws > RAWS_MAX:
                raise PageTooLarge(PageTooLarge.__doc__)

    @property
    def payments_only(self) -> bool:
        """Whether it holds nothing else."""
        return not (self.accounts or self.balances or self.aside)

    @property
    def kinds(self) -> dict[str, int]:
        """How many of each kind; what the page says twice is counted once."""
        return {"account": len(self.accounts), "balance": len(self.balances), "payment": len(self.payments)}

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


def columns(rows: list[Row]) -> tuple[Any, ...] | None:
    """One tuple a column, None for one without a value; None for no rows."""
    if not rows:
        return None
    return tuple(None if column.count(None) == len(rows) else column for column in zip(*rows, strict=True))


def hashes(rows: list[Row]) -> tuple[list[Key], list[Key]]:
    """Keys and content hashes of payment rows, for asking which of them are new."""
    return [row[_KEY] for row in rows], [row[_HASH] for row in rows]


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
