"""The mark of a walk: what is read counts when the walk is at its end, and nothing hides what follows."""

from datetime import UTC, datetime, timedelta

import msgspec

from paymux.connectors.dummypay.client import Page
from paymux.connectors.dummypay.connector import OVERLAP, Mark

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def page(*changed: datetime | str, cursor: str | None = None) -> Page:
    rows = [msgspec.Raw(msgspec.json.encode({"updated_at": time})) for time in changed]
    return Page(rows, cursor)


def test_the_first_walk_asks_for_everything() -> None:
    assert Mark().since is None


def test_until_its_end_a_walk_only_remembers_where_it_goes_on() -> None:
    """And in any order, the latest change of all pages is where the next one begins, an overlap before."""
    mark = Mark().after(page(NOON, cursor="a"), NOON + MINUTE)
    assert (mark.seen, mark.since, mark.cursor) == (None, None, "a")

    mark = mark.after(page(NOON - MINUTE), NOON + 2 * MINUTE)

    assert mark == Mark(NOON)
    assert mark.since == NOON - OVERLAP


def test_what_changes_behind_a_walk_is_before_the_mark() -> None:
    """It began before that, so the mark is not later than its beginning."""
    mark = Mark().after(page(NOON, cursor="a"), NOON)

    assert mark.after(page(NOON + 300 * MINUTE), NOON + 301 * MINUTE) == Mark(NOON)


def test_a_row_from_the_future_does_not_hide_the_present() -> None:
    assert Mark().after(page(NOON + timedelta(days=365_000)), NOON) == Mark(NOON)


def test_a_walk_that_meets_nothing_leaves_the_mark() -> None:
    """Nor do rows move it that say no time."""
    for empty in page(), page("yesterday"), Page([msgspec.Raw(b"{}")]):
        assert Mark(NOON).after(empty, NOON + MINUTE) == Mark(NOON)


def test_it_is_kept_between_runs() -> None:
    mark = Mark(NOON, NOON, NOON, "a")

    assert msgspec.json.decode(msgspec.json.encode(mark), type=Mark) == mark
