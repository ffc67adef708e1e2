import subprocess
import sys
from typing import cast

import pytest

from paymux.domain.currencies import decimals, iso4217
from paymux.domain.errors import InvalidAsset
from paymux.domain.money import Asset

KNOWN = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AUD BRL CAD CHF CNY CZK DKK EUR GBP HUF IDR INR MGA MRU MXN PLN SEK USD ZAR",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}


@pytest.mark.parametrize(("places", "codes"), KNOWN.items())
def test_a_currency_has_its_decimals(places: int, codes: str) -> None:
    """A wrong number of decimals is a mistake of ten, a hundred or a thousand times."""
    assert {code: decimals(code) for code in codes.split()} == dict.fromkeys(codes.split(), places)


@pytest.mark.parametrize("places", [0, 3, 4])
def test_the_unusual_ones_are_all_known_to_us(places: int) -> None:
    """When ISO 4217 changes one of these, a person looks at it before it is released."""
    assert {code for code, found in iso4217().items() if found == places} == set(KNOWN[places].split())


@pytest.mark.parametrize("code", ["XAU", "XAG", "XDR", "XXX", "XTS", "eur", "BTC", "", "EUR/2"])
def test_a_code_without_a_minor_unit_is_refused(code: str) -> None:
    """Gold has no cents, and a lower-case code is no code."""
    assert code not in iso4217()
    with pytest.raises(InvalidAsset):
        decimals(code)


def test_every_currency_makes_an_asset() -> None:
    """The two tables agree about what a code looks like."""
    assert [str(Asset(code, places)) for code, places in iso4217().items()]
    assert len(iso4217()) > 150


def test_the_table_is_one_and_read_only() -> None:
    """It is shared by all connectors, so none can change it for the others."""
    table = cast("dict[str, int]", iso4217())

    assert table is iso4217()
    with pytest.raises(TypeError):
        table["EUR"] = 3


def test_the_table_is_not_read_before_it_is_asked_for() -> None:
    """Every command of the program would pay for it."""
    ask = "import sys, paymux.domain.currencies; sys.exit('iso4217' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", ask], check=False).returncode == 0
