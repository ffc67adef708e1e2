from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.domain.errors import InvalidAmount, InvalidAsset, MixedAssets, shown
from paymux.domain.money import EXPONENT_MAX, MINOR_DIGITS_MAX, Amount, Asset

EUR = Asset.parse("EUR/2")
JPY = Asset.parse("JPY")
ETH = Asset.parse("ETH/18")
LARGEST = 10**MINOR_DIGITS_MAX - 1


@pytest.mark.parametrize(
    ("text", "code", "exponent", "written"),
    [
        ("EUR/2", "EUR", 2, "EUR/2"),
        ("JPY", "JPY", 0, "JPY"),
        ("JPY/0", "JPY", 0, "JPY"),
        ("ETH/18", "ETH", 18, "ETH/18"),
        ("A1/36", "A1", 36, "A1/36"),
        ("ABCDEFGHIJKLMNOPQ", "ABCDEFGHIJKLMNOPQ", 0, "ABCDEFGHIJKLMNOPQ"),
    ],
)
def test_an_asset_is_read_and_written(text: str, code: str, exponent: int, written: str) -> None:
    """A zero-decimal currency has two spellings in and one out."""
    asset = Asset.parse(text)

    assert asset == Asset(code, exponent)
    assert str(asset) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "eur/2",
        "EUR/",
        "/2",
        "EUR/-1",
        "EUR/02",
        "EUR/37",
        "EUR/100",
        "EUR /2",
        "EUR/2\n",
        "1INCH/18",
        "EUR/2/2",
        "EUR/\uff12",
        "\u00c9UR/2",
        "ABCDEFGHIJKLMNOPQR/2",
        "EUR/2.0",
        "E" * 1_000_000,
    ],
    ids=shown,
)
def test_what_is_no_asset_is_refused(text: str) -> None:
    """A near miss is an error, not another asset."""
    with pytest.raises(InvalidAsset):
        Asset.parse(text)


@pytest.mark.parametrize(
    ("code", "exponent"), [("eur", 2), ("EUR", -1), ("EUR", EXPONENT_MAX + 1), ("EUR/2", 2)]
)
def test_an_asset_is_valid_once_made(code: str, exponent: int) -> None:
    """The constructor is no way around the rules."""
    with pytest.raises(InvalidAsset):
        Asset(code, exponent)


@pytest.mark.parametrize("exponent", [True, 2.0, "2"])
def test_an_exponent_is_an_integer_and_nothing_like_one(exponent: Any) -> None:
    """EUR/True never comes to be, even where the annotations are not checked."""
    with pytest.raises((InvalidAsset, TypeError)):
        Asset("EUR", exponent)


@pytest.mark.parametrize(
    ("value", "minor"),
    [
        (1050, 1050),
        ("1050", 1050),
        (-5, -5),
        ("-5", -5),
        (0, 0),
        ("-0", 0),
        ("007", 7),
        (LARGEST, LARGEST),
        (str(-LARGEST), -LARGEST),
    ],
)
def test_minor_units_are_taken_as_they_are(value: int | str, minor: int) -> None:
    """Integers and their plain text, of either sign and up to 78 digits."""
    assert Amount.from_minor(value, EUR) == Amount(minor, EUR)


@pytest.mark.parametrize(
    "value",
    [
        10.0,
        10.5,
        True,
        False,
        None,
        Decimal(5),
        b"5",
        [5],
        "1_000",
        "\uff11",
        "+1",
        "",
        " 1",
        "1 ",
        "1\n",
        "1.0",
        "1e3",
        "0x1",
        "--1",
        "-",
        "1,000",
        LARGEST + 1,
        -LARGEST - 1,
        "1" * 79,
        10**100_000,
        "1" * 1_000_000,
    ],
    ids=shown,
)
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    """All that ``int()`` would have let through, and all that no token can count."""
    with pytest.raises(InvalidAmount):
        Amount.from_minor(value, EUR)


@pytest.mark.parametrize(
    ("text", "asset", "minor"),
    [
        ("10.50", EUR, 1050),
        ("10.5", EUR, 1050),
        ("10", EUR, 1000),
        ("10.5000", EUR, 1050),
        ("-0.50", EUR, -50),
        ("-0.01", EUR, -1),
        ("0.00", EUR, 0),
        ("-0", EUR, 0),
        ("1000", JPY, 1000),
        ("1000.00", JPY, 1000),
        ("123456789012.345678901234567890", ETH, 123456789012345678901234567890),
        ("0.000000000000000001", ETH, 1),
    ],
)
def test_major_units_are_exact(text: str, asset: Asset, minor: int) -> None:
    """Every digit counts, and the sign of ``-0.50`` outlives its zero."""
    assert Amount.from_major(text, asset) == Amount(minor, asset)


@pytest.mark.parametrize(
    "text",
    [
        10.5,
        10,
        True,
        None,
        Decimal("10.5"),
        "",
        ".5",
        "5.",
        "+1",
        "1_0",
        "1,50",
        "1 000",
        "1e3",
        "NaN",
        "\uff11.0",
        "10.505",
        "0.001",
        "--1",
        "-",
        "1.-5",
        "1.5\n",
        "9" * 78,
        "1." + "0" * 37,
        "1" * 1_000_000,
    ],
    ids=shown,
)
def test_what_is_no_exact_decimal_is_refused(text: Any) -> None:
    """What would have to be rounded or guessed is an error that names the value."""
    with pytest.raises(InvalidAmount):
        Amount.from_major(text, EUR)


@given(st.integers(-(10**40), 10**40), st.integers(0, EXPONENT_MAX))
def test_what_is_written_exactly_is_read_exactly(minor: int, exponent: int) -> None:
    """For every number of decimals, the text of an amount reads back as that amount."""
    asset = Asset("TOK", exponent)
    sign, digits = "-" * (minor < 0), str(abs(minor)).zfill(exponent + 1)
    whole, fraction = digits[: len(digits) - exponent], digits[len(digits) - exponent :]

    assert Amount.from_major(f"{sign}{whole}" + (f".{fraction}" if fraction else ""), asset) == Amount(
        minor, asset
    )
    assert Amount.from_minor(str(minor), asset) == Amount(minor, asset)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**20), max_value=10**20))
def test_the_text_of_a_decimal_is_read_exactly(value: Decimal) -> None:
    """``from_major(str(x))`` is x, to the cent."""
    assert Decimal(Amount.from_major(str(value), EUR).minor) == value * 100


@given(st.text())
def test_any_other_text_is_refused_with_its_own_error(text: str) -> None:
    """Text either is a plain number or is an InvalidAmount; nothing else comes out."""
    try:
        amount = Amount.from_minor(text, EUR)
    except InvalidAmount:
        return
    assert text.isascii()
    assert amount.minor == int(text)


@given(st.integers(-(LARGEST // 2), LARGEST // 2), st.integers(-(LARGEST // 2), LARGEST // 2))
def test_amounts_of_one_asset_add_up(left: int, right: int) -> None:
    """A sum is exact at any size."""
    assert Amount(left, ETH) + Amount(right, ETH) == Amount(left + right, ETH)


def test_amounts_of_two_assets_do_not_add_up() -> None:
    """EUR/2 and EUR/3 are two assets as much as EUR and USD are."""
    with pytest.raises(MixedAssets, match=r"EUR/2 and EUR/3"):
        Amount(1, EUR) + Amount(1, Asset("EUR", 3))


def test_a_sum_keeps_to_the_limit_too() -> None:
    """No arithmetic makes an amount that could not have been given."""
    with pytest.raises(InvalidAmount):
        Amount(LARGEST, ETH) + Amount(1, ETH)


@pytest.mark.parametrize("minor", [1.0, True, "5", None])
def test_an_amount_is_valid_once_made(minor: Any) -> None:
    """The constructor is no way around the rules."""
    with pytest.raises(InvalidAmount):
        Amount(minor, EUR)


def test_amounts_are_values() -> None:
    """Equal amounts are one in a set, and none can be changed."""
    amount = Amount(5, EUR)

    assert {amount, Amount(5, Asset("EUR", 2))} == {amount}
    with pytest.raises(AttributeError):
        amount.minor = 6  # type: ignore[misc]  # the point of the test
