"""A bank account that people keep here for providers: what its numbers must be, and what is shown.

No error quotes a number: whoever mistypes one must not find it in a log.
"""

import re
from collections.abc import Iterator

import msgspec

from paymux.domain.errors import InvalidAccountNumber, InvalidBic, InvalidCountry, InvalidIban

# Characters that stay hidden of whatever is shown in part. What is too short for that is hidden whole.
HIDDEN_MIN = 5
# ISO 13616: the longest IBAN. ISO 20022: the longest account number of any other kind.
NUMBER_MAX = 34

_TYPED = re.compile(r"[A-Za-z0-9 -]{1,100}", re.ASCII)
# As banks write them, with what they write between: 19-2000145399/0800. Shorter ones are no secret at all.
_ACCOUNT_NUMBER = re.compile(r"[A-Za-z0-9](?:[ ./-]?[A-Za-z0-9]){3,33}", re.ASCII)
_COUNTRY = re.compile(r"[A-Za-z]{2}", re.ASCII)
# Kosovo's own banks have IBANs, and ISO 3166 leaves the code to whoever needs it.
_BESIDE_ISO_3166 = {"XK"}


class Numbers(msgspec.Struct, frozen=True):
    """What is secret of a bank account, in clear; empty where there is none."""

    iban: str = ""
    account_number: str = ""

    def __repr__(self) -> str:
        return "Numbers(…)"

    def spellings(self) -> Iterator[str]:
        """Each number as it may turn up in a text: as it is, bare, and an IBAN in fours."""
        for number in filter(None, (self.iban, self.account_number)):
            bare = re.sub(r"[ ./-]", "", number)
            yield from (number, bare, " ".join(re.findall(".{1,4}", bare)))


def read_iban(text: str) -> str:
    """Return an IBAN without spaces, in upper case, once country, length, form and check digits are right.

    Raises:
        InvalidIban: which of these is wrong.
    """
    from schwifty import IBAN, exceptions  # noqa: PLC0415 - its registry takes a while

    why = {
        exceptions.InvalidCountryCode: "Its country has no IBANs.",
        exceptions.InvalidLength: "It is too long or too short for its country.",
        exceptions.InvalidChecksumDigits: "Its check digits do not fit, so something in it is mistyped.",
    }
    if not _TYPED.fullmatch(text):
        raise InvalidIban("It holds something else than letters and digits, or is too long.")
    try:
        return str(IBAN(text.replace("-", "")))
    except exceptions.SchwiftyException as error:
        raise InvalidIban(why.get(type(error), "It is not of its country's form.")) from None


def read_bic(text: str) -> str:
    """Return a BIC without spaces, in upper case, once its form and country are right.

    Raises:
        InvalidBic: it is none.
    """
    from schwifty import BIC, exceptions  # noqa: PLC0415 - as above

    if not _TYPED.fullmatch(text):
        raise InvalidBic
    try:
        return str(BIC(text))
    except exceptions.SchwiftyException:
        raise InvalidBic from None


def read_account_number(text: str) -> str:
    """Return an account number as it was typed: providers want it in their country's own way.

    Raises:
        InvalidAccountNumber: by its length or its characters it can be none.
    """
    number = text.strip(" ")
    if len(number) > NUMBER_MAX or not _ACCOUNT_NUMBER.fullmatch(number):
        raise InvalidAccountNumber
    return number


def read_country(text: str) -> str:
    """Return a country's code in upper case.

    Raises:
        InvalidCountry: ISO 3166 has none of these two letters.
    """
    import pycountry  # noqa: PLC0415 - reads its tables, and only schwifty needs them otherwise

    typed = text.strip(" ")
    # Looked at before it is upper case: that of a single ß would be South Sudan.
    code = typed.upper() if _COUNTRY.fullmatch(typed) else ""
    if code not in _BESIDE_ISO_3166 and (not code or pycountry.countries.get(alpha_2=code) is None):
        raise InvalidCountry
    return code


def shown_iban(iban: str) -> str:
    """What people may see of an IBAN: its first four and its last four characters."""
    return _obfuscated(iban, 4, 4)


def shown_account_number(number: str) -> str:
    """What people may see of an account number: of a long one its first two and last three characters."""
    return _obfuscated(number, 2, 3)


def _obfuscated(number: str, first: int, last: int) -> str:
    hidden = len(number) - first - last
    if hidden < HIDDEN_MIN:
        return "*" * len(number)
    return f"{number[:first]}{'*' * hidden}{number[-last:]}"
