"""What can be wrong with a value, whoever gave it to us.

DomainError
├── InvalidAsset       not a code with an exponent
├── InvalidAmount      not an exact number of minor units
├── MixedAssets        arithmetic across assets
├── InvalidTime        not RFC 3339
│   └── NaiveTime      a time without its zone
├── InvalidDuration    not a Go duration, or finer than a microsecond
├── InvalidSchedule    a task that cannot be scheduled like this
├── InvalidId          not an identifier of the asked kind
├── InvalidJson        a value that JSON has no form for
├── InvalidIban        not an IBAN
├── InvalidBic         not a BIC
├── InvalidAccountNumber  not an account number
├── InvalidCountry     not a country's code
└── InvalidText        text that PostgreSQL cannot store

The first line of a class docstring is the message, so an error says the same in the log, in the
HTTP answer and in the reference pages. What follows is cut short: values come from strangers.
"""

from typing import ClassVar

# Enough to recognise a value by, too little to flood a log with.
SHOWN_CHARS_MAX = 100
# Room for a shown value and a sentence about it.
DETAIL_CHARS_MAX = 300


def shown(value: object) -> str:
    """Return the ``repr`` of a value, cut to about ``SHOWN_CHARS_MAX`` characters, always printable."""
    if isinstance(value, str | bytes):
        value = value[: SHOWN_CHARS_MAX + 1]
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write an integer of more than 4,300 digits
        return f"<{type(value).__name__} too long to show>"
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…"


class DomainError(ValueError):
    """The value breaks a rule of the domain."""

    code: ClassVar[str] = "invalid"

    def __init__(self, detail: str = "") -> None:
        message = (self.__doc__ or "").strip().partition("\n")[0]
        if len(detail) > DETAIL_CHARS_MAX:
            detail = f"{detail[:DETAIL_CHARS_MAX]}…"
        super().__init__(f"{message} {detail}".strip())


class InvalidAsset(DomainError):
    """An asset is an upper-case code with an optional exponent, such as EUR/2."""

    code = "invalid-asset"

    def __init__(self, value: object) -> None:
        super().__init__(f"Got {shown(value)}.")


class InvalidAmount(DomainError):
    """An amount must be an exact number of the asset's minor units, of 78 digits at most."""

    code = "invalid-amount"

    def __init__(self, value: object, asset: object) -> None:
        super().__init__(f"Got {shown(value)} of {asset}.")


class MixedAssets(DomainError):
    """Amounts can be added only when they are of one asset; convert or keep them apart."""

    code = "mixed-assets"

    def __init__(self, left: object, right: object) -> None:
        super().__init__(f"Got {left} and {right}.")


class InvalidTime(DomainError):
    """A time must be RFC 3339 with its zone, such as 2019-05-15T14:00:00Z."""

    code = "invalid-time"

    def __init__(self, value: object) -> None:
        super().__init__(f"Got {shown(value)}.")


class NaiveTime(InvalidTime):
    """A time must say its zone, such as the Z of 2019-05-15T14:00:00Z."""

    code = "naive-time"


class InvalidDuration(DomainError):
    """A duration is whole or decimal numbers with a unit of us, ms, s, m or h, such as 1h30m or 1.5s."""

    code = "invalid-duration"

    def __init__(self, value: object, why: str = "") -> None:
        super().__init__(f"Got {shown(value)}{': ' if why else ''}{why}.")


class InvalidSchedule(DomainError):
    """The task cannot be scheduled like this."""

    code = "invalid-schedule"


class InvalidId(DomainError):
    """The identifier is not one of ours; copy it whole from an answer of the API."""

    code = "invalid-id"

    def __init__(self, value: object, why: str) -> None:
        super().__init__(f"Got {shown(value)}: {why}.")


class InvalidJson(DomainError):
    """JSON can hold null, booleans, finite numbers, text, lists, and objects with text keys."""

    code = "invalid-json"

    def __init__(self, value: object) -> None:
        super().__init__(f"Got {shown(value)} of type {type(value).__name__}.")


class InvalidText(DomainError):
    """Text must hold no NUL character and no half of a surrogate pair; PostgreSQL cannot store it."""

    code = "invalid-text"

    def __init__(self, value: object) -> None:
        super().__init__(f"Got {shown(value)}.")


class InvalidIban(DomainError):
    """An IBAN is a country, two check digits and an account, such as DE89 3704 0044 0532 0130 00."""

    code = "invalid-iban"


class InvalidBic(DomainError):
    """A BIC has 8 or 11 characters, the fifth and sixth a country's code, such as DEUTDEFF."""

    code = "invalid-bic"


class InvalidAccountNumber(DomainError):
    """An account number is 4 to 34 letters and digits, between them a space, dot, slash or hyphen at most."""

    code = "invalid-account-number"


class InvalidCountry(DomainError):
    """A country is its code of two letters by ISO 3166, such as DE."""

    code = "invalid-country"
