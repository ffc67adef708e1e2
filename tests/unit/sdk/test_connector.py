"""A connector is a class with a name; everything else has a default."""

from typing import Any

import pytest

from paymux.sdk import Connector, ConnectorConfig, NotImplementedByConnector, UnknownTask


class Config(ConnectorConfig):
    """A config."""


class Acme(Connector[Config]):
    name = "acme-bank"


async def test_only_the_name_is_required() -> None:
    """What it cannot do says so; install and uninstall have nothing to do."""
    acme = Acme(Config())
    nothing: Any = None

    assert Acme.provider() == "ACME-BANK"
    assert Acme.max_tasks == 50
    assert acme.routes() == ()
    assert acme.supported_currencies_and_decimals()["EUR"] == 2
    await acme.install(nothing)
    await acme.uninstall(nothing)
    await acme.check(nothing)
    await acme.update_config(nothing, acme.config)
    for missing in (
        acme.replay(nothing, nothing, nothing),
        acme.initiate_payment(nothing, nothing),
        acme.reverse_payment(nothing, nothing),
        acme.create_external_bank_account(nothing, nothing),
    ):
        with pytest.raises(NotImplementedByConnector):
            await missing
    with pytest.raises(UnknownTask):
        acme.resolve("anything")


def test_the_config_is_the_one_it_was_declared_with() -> None:
    """Found in the brackets, and inherited; without any there is the empty one."""

    class Better(Acme):
        name = "better"

    class Bare(Connector[ConnectorConfig]):
        name = "bare"

    assert Acme.config_class is Config
    assert Better.config_class is Config
    assert Bare.config_class is ConnectorConfig


@pytest.mark.parametrize(
    "name", ["", "Acme", "acme_bank", "acme bank", "-acme", "acme-", "1acme", "äcme", "a" * 41, 7, b"acme"]
)
def test_a_name_that_fits_no_url_is_refused_at_import(name: Any) -> None:
    """It goes into URLs, folders, rows and identifiers."""
    with pytest.raises(TypeError, match="lower-case word"):
        type("Bad", (Connector,), {"name": name})


@pytest.mark.parametrize("most", [0, -1, 1001, "10", 1.5, None])
def test_a_limit_that_is_none_is_refused_at_import(most: Any) -> None:
    """Between 1 and 1000 at a time."""
    with pytest.raises(TypeError, match="between 1 and 1000"):
        type("Bad", (Connector,), {"name": "bad", "max_tasks": most})


def test_whoever_moves_money_can_look_it_up() -> None:
    """Refused where it is written: without a look-up, an order whose answer was lost stays so for ever."""

    async def send(*_: object) -> None:
        raise NotImplementedError

    for method in ("initiate_payment", "reverse_payment"):
        with pytest.raises(TypeError, match="needs look_up"):
            type("Acme", (Connector,), {"name": "acme", method: send})
        type("Acme", (Connector,), {"name": "acme", method: send, "look_up": send})


@pytest.mark.parametrize("longest", [0, 15, "64", None])
def test_a_key_that_may_come_twice_is_refused_at_import(longest: Any) -> None:
    """With fewer characters, two orders could have the same key, and the second would not be paid."""
    with pytest.raises(TypeError, match="16 at least"):
        type("Bad", (Connector,), {"name": "bad", "idempotency_key_max": longest})
