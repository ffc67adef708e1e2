"""A bank account's numbers: what is taken, what is refused, and that what is shown gives nothing away."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schwifty import IBAN

from paymux.domain import bank_account
from paymux.domain.bank_account import (
    HIDDEN_MIN,
    Numbers,
    read_account_number,
    read_bic,
    read_country,
    read_iban,
    shown_account_number,
    shown_iban,
)
from paymux.domain.errors import DomainError, InvalidAccountNumber, InvalidBic, InvalidCountry, InvalidIban
from paymux.domain.mask import Mask

GERMAN = "DE89370400440532013000"
numbers = st.text(string.ascii_uppercase + string.digits, max_size=40)
# Countries whose accounts are digits alone, the shortest there is among them, and how many.
ibans = st.sampled_from([("DE", 18), ("NO", 11), ("BE", 12), ("AT", 16)]).flatmap(
    lambda one: st.text(string.digits, min_size=one[1], max_size=one[1]).map(
        lambda digits: str(IBAN.from_bban(one[0], digits))
    )
)


@pytest.mark.parametrize(
    "typed", [GERMAN, "DE89 3704 0044 0532 0130 00", "de89-3704-0044-0532-0130-00", f" {GERMAN} "]
)
def test_an_iban_is_taken_as_people_type_it(typed: str) -> None:
    """And kept as machines want it."""
    assert read_iban(typed) == GERMAN


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("DE89370400440532013001", "check digits"),
        ("DE98370400440532013000", "check digits"),
        ("DE8937040044053201300", "long or too short"),
        ("XX89370400440532013000", "country"),
        ("DE89370400440532O13000", "form"),
        ("", "letters"),
        ("DE89 3704\n0044", "letters"),
        ("\uff24\uff25" + GERMAN[2:], "letters"),
        ("1" * 1_000_000, "letters"),
        ("' OR 1=1 --", "letters"),
    ],
)
def test_an_iban_that_is_none_is_refused(typed: str, why: str) -> None:
    """Told why, and without the number."""
    with pytest.raises(InvalidIban, match=why) as refused:
        read_iban(typed)
    # The message has an IBAN of its own, as an example.
    assert not typed or typed not in str(refused.value)


@given(ibans, st.data())
def test_a_mistyped_iban_is_refused(iban: str, data: st.DataObject) -> None:
    """One digit that is another, or two neighbours that have changed places: check digits find both."""
    places = [place for place in range(4, len(iban)) if iban[place].isdigit()]
    place = data.draw(st.sampled_from(places))
    other = data.draw(st.sampled_from(string.digits).filter(lambda digit: digit != iban[place]))
    assert read_iban(iban) == iban
    with pytest.raises(InvalidIban):
        read_iban(f"{iban[:place]}{other}{iban[place + 1 :]}")


@pytest.mark.parametrize("typed", ["DEUTDEFF", "deutdeff500", "DEUT DE FF"])
def test_a_bic_is_taken(typed: str) -> None:
    """With a branch or without."""
    assert read_bic(typed) == typed.replace(" ", "").upper()


@pytest.mark.parametrize(
    "typed", ["", "DEUTDEF", "DEUTXXFF", "DEUTDEFF5000", "DEUT!EFF", "DEUTDEF\u0192", "\0"]
)
def test_a_bic_that_is_none_is_refused(typed: str) -> None:
    """By its form and its country."""
    with pytest.raises(InvalidBic):
        read_bic(typed)


@pytest.mark.parametrize("typed", ["1234", "19-2000145399/0800", "12 345 678", "000123456789", "A" * 34])
def test_an_account_number_is_kept_as_typed(typed: str) -> None:
    """Leading zeros and all."""
    assert read_account_number(f" {typed} ") == typed


@pytest.mark.parametrize(
    "typed",
    ["", "123", "A" * 35, "1" + "-1" * 17, "12--34", "-1234", "12\n34", "12*34", "\u0661\u0662\u0663\u0664"],
)
def test_an_account_number_that_is_none_is_refused(typed: str) -> None:
    """By its length and its characters."""
    with pytest.raises(InvalidAccountNumber):
        read_account_number(typed)


@pytest.mark.parametrize("typed", ["DE", "gb", " FR ", "XK"])
def test_a_country_is_its_code(typed: str) -> None:
    """In either case."""
    assert read_country(typed) == typed.strip().upper()


@pytest.mark.parametrize("typed", ["", "D", "DEU", "XX", "\0\0", "D\u0130", "\u00df", "\ufb01", "Germany"])
def test_a_country_that_is_none_is_refused(typed: str) -> None:
    """By ISO 3166."""
    with pytest.raises(InvalidCountry):
        read_country(typed)


@given(st.text())
def test_any_text_is_taken_or_refused(text: str) -> None:
    """And what is taken is plain."""
    for read in (read_iban, read_bic, read_account_number, read_country):
        try:
            assert read(text).isascii()
        except DomainError:
            continue


@given(numbers)
def test_what_is_shown_hides_enough_or_everything(number: str) -> None:
    """Eight characters of an IBAN at most, five of an account number; the others are stars."""
    for show, first, last in ((shown_iban, 4, 4), (shown_account_number, 2, 3)):
        shown = show(number)
        assert len(shown) == len(number)
        if len(number) < first + last + HIDDEN_MIN:
            assert set(shown) <= {"*"}
        else:
            assert set(shown[first:-last]) == {"*"}
            assert (shown[:first], shown[-last:]) == (number[:first], number[-last:])


@given(ibans)
def test_an_iban_can_be_told_by_its_ends(iban: str) -> None:
    """However short its country's are."""
    assert shown_iban(iban)[:4] == iban[:4]
    assert shown_iban(iban)[-4:] == iban[-4:]


def test_numbers_are_not_shown_by_accident() -> None:
    """Neither in a traceback nor, spelt in another way, in what a provider says about them."""
    kept = Numbers(GERMAN, "19-2000145399/0800")
    mask = Mask(kept.spellings())
    assert repr(kept) == str(kept) == "Numbers(…)"
    for said in (GERMAN, "DE89 3704 0044 0532 0130 00", "19-2000145399/0800", "1920001453990800"):
        assert mask(f"{said} is closed") == "******** is closed"
    assert list(Numbers().spellings()) == []


def test_a_registry_of_all_banks_is_not_read_before_it_is_needed() -> None:
    """It takes a third of a second, and most processes never need it."""
    assert not {"schwifty", "pycountry"} & vars(bank_account).keys()
