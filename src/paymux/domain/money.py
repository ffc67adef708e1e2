"""Money: whole minor units that never travel without their asset.

An integer without its exponent is how a hundredfold mistake starts, so the two are one value and
arithmetic across assets is refused. ``Amount(1000, Asset.parse("EUR/2"))`` is ten euros.

Text becomes an amount here or nowhere, digit by digit: a float loses cents, ``Decimal`` rounds
past 28 digits without a word, and ``int`` takes ``10.7``, ``True`` and ``"1_000"`` for numbers.
"""

import re
from functools import lru_cache

from msgspec import Struct

from paymux.domain.errors import InvalidAmount, InvalidAsset, MixedAssets

# 2**256 - 1, the largest number an EVM token can count, has 78 digits. No more is money.
MINOR_DIGITS_MAX = 78
# The finest token in use has 24 decimals; a larger exponent than this is a mistake in the mapping.
EXPONENT_MAX = 36
# Far more than the assets of any one deployment, and small in memory.
ASSETS_CACHED = 4096

_MINOR_LIMIT = 10**MINOR_DIGITS_MAX
_CODE = re.compile(r"[A-Z][A-Z0-9]{0,16}")
_ASSET = re.compile(r"(?P<code>[A-Z0-9]+)(?:/(?P<exponent>0|[1-9][0-9]?))?")
_MINOR = re.compile(rf"-?[0-9]{{1,{MINOR_DIGITS_MAX}}}")
_MAJOR = re.compile(
    rf"(?P<whole>-?[0-9]{{1,{MINOR_DIGITS_MAX}}})(?:\.(?P<fraction>[0-9]{{1,{EXPONENT_MAX}}}))?"
)


class Asset(Struct, frozen=True, gc=False, cache_hash=True):
    """A currency or token, with the number of decimals its minor unit stands for."""

    code: str
    exponent: int = 0

    def __post_init__(self) -> None:
        plain = _CODE.fullmatch(self.code) and type(self.exponent) is int
        if not plain or not 0 <= self.exponent <= EXPONENT_MAX:
            raise InvalidAsset(f"{self.code}/{self.exponent}")

    @classmethod
    def parse(cls, text: str) -> "Asset":
        """Read ``CODE/EXPONENT`` or a bare ``CODE``; ``JPY`` and ``JPY/0`` are one asset.

        Raises:
            InvalidAsset: The text is of another form, or the exponent is beyond ``EXPONENT_MAX``.
        """
        return _parse_asset(text)

    def __str__(self) -> str:
        return f"{self.code}/{self.exponent}" if self.exponent else self.code


@lru_cache(ASSETS_CACHED)
def _parse_asset(text: str) -> Asset:
    match = _ASSET.fullmatch(text)
    if match is None:
        raise InvalidAsset(text)
    return Asset(match["code"], int(match["exponent"] or 0))


class Amount(Struct, frozen=True, gc=False):
    """A whole number of an asset's minor units, of ``MINOR_DIGITS_MAX`` digits at most."""

    minor: int
    asset: Asset

    def __post_init__(self) -> None:
        # The exact type: True is an int to Python, and a float may be let in by a missing annotation.
        if type(self.minor) is not int or not -_MINOR_LIMIT < self.minor < _MINOR_LIMIT:
            raise InvalidAmount(self.minor, self.asset)

    @classmethod
    def from_minor(cls, value: int | str, asset: Asset) -> "Amount":
        """Take a provider's ``1050`` or ``"1050"``.

        Raises:
            InvalidAmount: It is not a whole number written plainly. A float is refused even when
                it looks whole, as are ``True``, ``"1_000"``, ``"+1"`` and digits that are not ASCII.
        """
        if isinstance(value, str):
            value = int(_plain(_MINOR, value, asset)[0])
        return cls(value, asset)

    @classmethod
    def from_major(cls, text: str, asset: Asset) -> "Amount":
        """Take a provider's ``"10.50"``, exactly.

        Raises:
            InvalidAmount: It is not a plain decimal number, or would have to be rounded.
        """
        match = _plain(_MAJOR, text, asset)
        fraction = (match["fraction"] or "").rstrip("0")
        if len(fraction) > asset.exponent:
            raise InvalidAmount(text, asset)
        # Joined as text, so the sign of "-0.50" outlives its zero.
        return cls(int(match["whole"] + fraction.ljust(asset.exponent, "0")), asset)

    def __add__(self, other: "Amount") -> "Amount":
        if self.asset != other.asset:
            raise MixedAssets(self.asset, other.asset)
        return Amount(self.minor + other.minor, self.asset)


def _plain(pattern: re.Pattern[str], text: object, asset: Asset) -> re.Match[str]:
    match = pattern.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise InvalidAmount(text, asset)
    return match
