"""What is set of the edge goes together, or is refused with the name of the setting."""

from typing import Any

import pytest

from paymux.api.auth import tokens
from paymux.api.auth.callers import Access
from paymux.api.auth.gate import is_local
from paymux.api.edge import BadEdge, edge

NOTHING: dict[str, Any] = {
    "auth": None,
    "api_tokens": "",
    "issuers": "",
    "audience": "",
    "cors_origins": "",
    "body_seconds": 1,
    "answer_seconds": 1,
}
LINE = tokens.new("a", [Access.READ])[1]


def test_nothing_set_asks_nobody_and_stays_local() -> None:
    made = edge(**NOTHING)

    assert not made.gate.asks
    assert made.gate.local
    assert made.cors is None


@pytest.mark.parametrize(
    "said",
    [
        {"api_tokens": LINE},
        {"issuers": "https://login.example.com", "audience": "paymux"},
        {"issuers": "http://keycloak:8080/realms/main", "audience": "paymux"},
        {"auth": "required", "api_tokens": LINE},
    ],
)
def test_tokens_or_issuers_are_asked_for(said: dict[str, Any]) -> None:
    """Naming them is enough."""
    made = edge(**NOTHING | said)

    assert made.gate.asks
    assert not made.gate.local


def test_off_leaves_it_to_a_proxy() -> None:
    made = edge(**NOTHING | {"auth": "off"})

    assert not made.gate.asks
    assert not made.gate.local


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("auth", {"auth": "required"}),
        ("auth", {"auth": "off", "api_tokens": LINE}),
        ("auth_audience", {"issuers": "https://login.example.com"}),
        ("auth_issuers", {"issuers": "login.example.com", "audience": "paymux"}),
        ("auth_issuers", {"issuers": "http://login.example.com", "audience": "paymux"}),
        ("auth_issuers", {"issuers": "https://login.example.com?a=b", "audience": "paymux"}),
        ("api_tokens", {"api_tokens": "secret"}),
        ("cors_origins", {"cors_origins": "example.com"}),
        ("cors_origins", {"cors_origins": "https://example.com/"}),
        ("cors_origins", {"cors_origins": "https://a.example, null"}),
    ],
)
def test_what_does_not_go_together_is_refused(setting: str, said: dict[str, Any]) -> None:
    """A service that starts is one that does what was meant."""
    with pytest.raises(BadEdge) as refused:
        edge(**NOTHING | said)

    assert refused.value.setting == setting
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost:8080", True),
        ("127.0.0.1:8080", True),
        ("[::1]:8080", True),
        ("10.0.0.1", True),
        ("paymux", True),
        ("paymux.localhost", True),
        ("evil.example:8080", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("[", False),
        ("a b.c", False),
    ],
)
def test_names_that_somebody_may_own_are_not_local(host: str, local: bool) -> None:  # noqa: FBT001 - a table
    """The owner of a domain can have its name point to this machine, and a browser would go along."""
    assert is_local(host) is local
