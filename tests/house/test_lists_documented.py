"""What lists can be asked by is in the reference, and nothing else is."""

import re
from pathlib import Path

import pytest

from paymux.api import filters
from paymux.domain.filter import Kind, Operator
from paymux.storage.accounts import ACCOUNTS
from paymux.storage.balances import BALANCES
from paymux.storage.bank_accounts import BANK_ACCOUNTS
from paymux.storage.listing import Noun
from paymux.storage.payments import PAYMENTS
from paymux.storage.pools import POOLS
from paymux.storage.transfers import TRANSFERS

SECTION = (
    (Path(__file__).parents[2] / "docs/reference/http.md").read_text("utf-8").partition("## Asking lists")[2]
)


@pytest.mark.parametrize(
    ("name", "noun"),
    [
        ("payments", PAYMENTS),
        ("accounts", ACCOUNTS),
        ("balances", BALANCES),
        ("pools", POOLS),
        ("transfer initiations", TRANSFERS),
        ("bank accounts", BANK_ACCOUNTS),
    ],
)
def test_every_column_is_documented(name: str, noun: Noun) -> None:
    """One row a list in docs/reference/http.md, under Filters, with all of its columns."""
    row = re.search(rf"^\| {name} \| (.+) \|$", SECTION, re.MULTILINE)
    assert row
    columns = {
        f"{column}[key]" if spec.kind is Kind.METADATA else column
        for column, spec in noun.columns.items()
        if not spec.hidden
    }

    assert set(re.findall(r"`([^`]+)`", row[1])) == columns


def test_every_operator_and_limit_is_documented() -> None:
    """With the numbers that the code goes by."""
    words = set(re.findall(r"`(\$\w+)`", SECTION.partition("### Orders")[0]))

    assert words == {*Operator, "$and", "$or", "$not"}
    for limit in (filters.FILTER_MAX, filters.COMPARISONS_MAX, filters.DEPTH_MAX, filters.VALUES_MAX):
        assert re.search(rf"\b{limit:,}\b", SECTION)
