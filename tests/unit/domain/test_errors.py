import inspect
from datetime import UTC

import pytest

from paymux.domain import errors
from paymux.domain.errors import (
    SHOWN_CHARS_MAX,
    DomainError,
    InvalidAccountNumber,
    InvalidAmount,
    InvalidAsset,
    InvalidBic,
    InvalidCountry,
    InvalidDuration,
    InvalidIban,
    InvalidId,
    InvalidJson,
    InvalidSchedule,
    InvalidText,
    InvalidTime,
    MixedAssets,
    NaiveTime,
    shown,
)

MEGABYTE = "9" * 1_000_000
EVERY = [
    DomainError(MEGABYTE),
    InvalidAsset(MEGABYTE),
    InvalidAmount(10**100_000, "EUR/2"),
    InvalidAmount([MEGABYTE], "EUR/2"),
    MixedAssets("EUR/2", "USD/2"),
    InvalidTime(MEGABYTE),
    NaiveTime(MEGABYTE),
    InvalidDuration(MEGABYTE, "too long"),
    InvalidSchedule(MEGABYTE),
    InvalidId(MEGABYTE, "it is not base64url"),
    InvalidJson({"key": MEGABYTE}),
    InvalidText(MEGABYTE),
    InvalidIban("Its country has no IBANs."),
    InvalidBic(),
    InvalidAccountNumber(),
    InvalidCountry(),
]


def kinds() -> list[type[DomainError]]:
    found = inspect.getmembers(errors, inspect.isclass)
    return [kind for _, kind in found if issubclass(kind, DomainError)]


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_the_docstring_is_the_message_and_what_follows_is_short(error: DomainError) -> None:
    """A stranger's megabyte does not reach a log or an answer."""
    assert error.__doc__
    assert str(error).startswith(error.__doc__.splitlines()[0])
    assert len(str(error)) < 500


def test_every_error_is_among_the_examples() -> None:
    """The promise above holds for the next error too."""
    assert {type(error) for error in EVERY} == set(kinds())


def test_the_drawn_tree_is_the_tree() -> None:
    """The module docstring names every error, under the one it belongs to, and no other."""
    drawn = (errors.__doc__ or "").splitlines()
    for kind in kinds():
        lines = [line for line in drawn if f"─ {kind.__name__} " in line or line == kind.__name__]
        depth = len(kind.__mro__) - len(DomainError.__mro__)
        assert [line.find(kind.__name__) for line in lines] == [4 * depth], kind.__name__
    assert len([line for line in drawn if "── " in line]) == len(kinds()) - 1


def test_every_error_has_a_code_of_its_own() -> None:
    """A program tells errors apart by code, so no two share one."""
    assert len({kind.code for kind in kinds()}) == len(kinds())


def test_a_domain_error_is_a_value_error() -> None:
    """Both msgspec and pydantic report a ValueError as a fault of the input."""
    assert issubclass(DomainError, ValueError)


@pytest.mark.parametrize("value", ["a\x00b", "half \ud800", "line\nbreak", b"\x00" * 500, UTC])
def test_what_is_shown_is_short_and_can_be_stored(value: object) -> None:
    """A message about bad text is itself good text."""
    text = shown(value)

    assert len(text) <= SHOWN_CHARS_MAX + 1
    assert text.isprintable()
    assert text.encode()
