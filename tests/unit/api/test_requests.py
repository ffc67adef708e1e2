"""Bodies: a handler gets the shape it declares, or the client is told which field is wrong."""

from typing import Any

import msgspec
import pytest
from litestar import Request, post

from paymux.api.errors import InvalidBody, InvalidField
from paymux.api.requests import decoded, read
from paymux.domain.account import AccountType
from paymux.domain.ids import ConnectorID
from paymux.domain.money import Asset


class Place(msgspec.Struct, forbid_unknown_fields=True):
    """A part of a body."""

    city: str


class Sent(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A body."""

    amount: int
    account_name: str = ""
    metadata: dict[str, str] = {}
    place: Place | None = None
    ratio: float = 1.0
    type: AccountType = AccountType.INTERNAL


def request(*chunks: bytes) -> "Request[Any, Any, Any]":
    """A POST whose body comes in pieces."""
    waiting = list(chunks)

    async def receive() -> Any:
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    scope: Any = {"type": "http", "method": "POST", "path": "/", "headers": [], "state": {}}
    return Request(scope | {"route_handler": _handler}, receive)


@post("/", request_max_body_size=None)
async def _handler() -> None:
    """Stands in for any."""


async def test_a_body_is_its_shape() -> None:
    """Whatever pieces it comes in; integers keep every digit."""
    found = await decoded(request(b'{"amount": 1' + b"0" * 60, b', "accountName": "\xc3', b'\xa9"}'), Sent)

    assert found == Sent(amount=10**60, account_name="é")


@pytest.mark.parametrize(
    ("body", "field", "why"),
    [
        (b"{}", "amount", "is missing"),
        (b'{"amount": 1.0}', "amount", "expected `int`, got `float`"),
        (b'{"amount": 1e2}', "amount", "expected `int`, got `float`"),
        (b'{"amount": "1"}', "amount", "expected `int`, got `str`"),
        (b'{"amount": true}', "amount", "expected `int`, got `bool`"),
        (b'{"amount": null}', "amount", "expected `int`, got `null`"),
        (b'{"amount": 1, "ratio": "1"}', "ratio", "expected `float`, got `str`"),
        (b'{"amount": 1, "metadata": {"k": 1}}', "metadata[...]", "expected `str`, got `int`"),
        (
            b'{"amount": 1, "type": "internal"}',
            "type",
            "is none of INTERNAL, EXTERNAL, EXTERNAL_FORMANCE, UNKNOWN",
        ),
        (b'{"amount": 1, "place": {}}', "place.city", "is missing"),
        (b'{"amount": 1, "place": {"city": "x", "zip": 1}}', "place.zip", "is not known here"),
        (
            b'{"amount": 1, "account_name": "x"}',
            "account_name",
            "is not known here; there are amount, accountName, metadata, place, ratio, type",
        ),
        (
            b'{"amount": 1, "a`b": "x"}',
            "a`b",
            "is not known here; there are amount, accountName, metadata, place, ratio, type",
        ),
    ],
)
async def test_a_wrong_field_is_named(body: bytes, field: str, why: str) -> None:
    """In the message and, for programs, in the details."""
    with pytest.raises(InvalidField) as refused:
        await decoded(request(body), Sent)

    assert refused.value.fields == {field: why}
    assert str(refused.value) == f"{field}: {why}"


@pytest.mark.parametrize(
    "body", [b"", b" \n", b"null", b"[]", b'"x"', b"1", b'{"amount": 1', b'{"amount": NaN}']
)
async def test_what_is_no_object_is_refused(body: bytes) -> None:
    """Nothing at all, too."""
    with pytest.raises(InvalidBody, match=r"^The body must be a JSON object\."):
        await decoded(request(body), Sent)


async def test_a_dict_of_text_is_a_shape_too() -> None:
    """Metadata is sent like that."""
    assert await decoded(request(b'{"k": "v"}'), dict[str, str]) == {"k": "v"}
    with pytest.raises(InvalidField):
        await decoded(request(b'{"k": 1}'), dict[str, str])


def test_a_rule_of_the_domain_names_the_field() -> None:
    """What breaks it is said with the field that it stands in."""
    assert read("asset", Asset.parse, "JPY/0") == Asset("JPY")
    with pytest.raises(InvalidField, match=r"^asset: An asset is an upper-case code .* Got 'eur'\.$"):
        read("asset", Asset.parse, "eur")
    with pytest.raises(InvalidField, match=r"^connectorID: "):
        read("connectorID", ConnectorID.parse, "")


def test_the_name_of_a_field_is_cut_short() -> None:
    """It may be a stranger's."""
    assert len(str(InvalidField("x" * 10_000, "is not known here"))) < 200
