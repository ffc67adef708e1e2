"""How many decimals a currency has, by ISO 4217 as its maintenance agency last published it."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from paymux.domain.errors import InvalidAsset


@cache
def iso4217() -> Mapping[str, int]:
    """Return the decimals of every current code, such as ``{"EUR": 2, "JPY": 0, "KWD": 3}``, read-only.

    Codes that have no minor unit are left out: metals, units of account, and those for testing.
    """
    from iso4217 import Currency  # noqa: PLC0415 - it reads an XML table when imported, which takes 70 ms

    return MappingProxyType({c.code: c.exponent for c in Currency if c.exponent is not None})


def decimals(code: str) -> int:
    """Return the decimals of an upper-case ISO 4217 code.

    Raises:
        InvalidAsset: ISO 4217 has no such code, or gives it no minor unit.
    """
    try:
        return iso4217()[code]
    except KeyError:
        raise InvalidAsset(code) from None
