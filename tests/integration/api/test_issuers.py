"""JWTs are taken from those who may issue them, and nothing else that looks like one is."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.integration.api.login import AUDIENCE, Login, login

from paymux.api.auth.callers import Access, IssuerAway, NotAuthenticated
from paymux.api.auth.issuers import FRESH, PAUSE, STALE, Issuer, Issuers


@pytest.fixture
def issuer() -> Iterator[Login]:
    with login() as found:
        yield found


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def trusting(issuer: Login, clock: Clock | None = None) -> Issuers:
    return Issuers([Issuer(issuer.url, clock or Clock())], AUDIENCE)


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("RSA", "RS256"), ("RSA", "PS512"), ("EC", "ES256"), ("OKP", "EdDSA")]
)
async def test_a_good_token_is_taken(issuer: Login, kind: str, algorithm: str) -> None:
    """By whichever kind of key; it says who asks and what they may do. Other scopes are not ours."""
    issuer.rotate("k", kind)
    caller = await trusting(issuer).find(issuer.token(algorithm))

    assert caller.name == f"{issuer.url}#alice"
    assert caller.scopes == {Access.READ}


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": None, "scp": ["payments:write", 1, None]},
        {"scope": None, "scp": "payments:write"},
        {"aud": ["other", AUDIENCE], "scope": "payments:write"},
        {"sub": None, "client_id": "alice", "scope": "payments:write"},
    ],
)
async def test_issuers_differ_in_how_they_say_it(issuer: Login, claims: dict[str, Any]) -> None:
    """A list or text, one audience or several, a person or a program; clocks are not the same."""
    caller = await trusting(issuer).find(issuer.token(**claims))

    assert (caller.name, set(caller.scopes)) == (f"{issuer.url}#alice", {Access.WRITE})


async def test_a_token_that_has_just_expired_is_taken(issuer: Login) -> None:
    """The issuer's clock is not ours."""
    caller = await trusting(issuer).find(issuer.token(exp=int(time.time()) - 5, scope="payments:write"))

    assert caller.scopes == {Access.WRITE}


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, "lacks a claim"),
        ({"aud": None}, "lacks a claim"),
        ({"aud": "other"}, "another audience"),
        ({"nbf": 99_999_999_999}, "not valid yet"),
        ({"iss": "https://login.example.com"}, "issuer"),
        ({"iss": None}, "issuer"),
    ],
)
async def test_a_token_that_is_not_for_now_and_us_is_refused(
    issuer: Login, claims: dict[str, Any], why: str
) -> None:
    """The message says why, and repeats nothing of what the token says."""
    with pytest.raises(NotAuthenticated, match=why) as refused:
        await trusting(issuer).find(issuer.token(**claims))

    assert "example" not in str(refused.value)
    assert 'error="invalid_token"' in refused.value.headers["WWW-Authenticate"]


def _encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


async def test_a_token_that_nobody_signed_is_refused(issuer: Login) -> None:
    """``alg: none``, in every spelling."""
    payload = issuer.token().split(".")[1]
    for algorithm in ("none", "None", "NONE", "", None, 1, ["RS256"]):
        with pytest.raises(NotAuthenticated):
            await trusting(issuer).find(f"{_encoded({'alg': algorithm, 'kid': 'first'})}.{payload}.")


async def test_a_public_key_is_no_secret_to_sign_with(issuer: Login) -> None:
    """HS256 with the issuer's public key, which everybody has, and with a secret among its keys."""
    issuer.more = [{"kty": "oct", "kid": "oct", "k": "c2VjcmV0" * 8, "use": "sig", "alg": "HS256"}]
    public = (
        issuer.keys["first"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    payload = issuer.token().split(".")[1]
    for kid, secret in (("first", public), ("oct", base64.urlsafe_b64decode("c2VjcmV0" * 8))):
        signed = f"{_encoded({'alg': 'HS256', 'kid': kid, 'typ': 'JWT'})}.{payload}"
        signature = hmac.digest(secret, signed.encode(), hashlib.sha256)
        forged = f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
        with pytest.raises(NotAuthenticated):
            await trusting(issuer).find(forged)


async def test_a_key_of_somebody_else_is_refused(issuer: Login) -> None:
    """Under the id of a key that is shown, and under one of its own."""
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for kid in ("first", "other"):
        with pytest.raises(NotAuthenticated):
            await trusting(issuer).find(issuer.token(key=other, kid=kid))


async def test_a_changed_token_is_refused(issuer: Login) -> None:
    head, _, signature = issuer.token().split(".")
    _, payload, _ = issuer.token(scope="payments:write payments:config").split(".")
    with pytest.raises(NotAuthenticated, match="signature"):
        await trusting(issuer).find(f"{head}.{payload}.{signature}")


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "é", "x" * 20_000, "eyJhbGciOiJSUzI1NiJ9.W10.AA"])
async def test_what_is_no_token_is_refused(issuer: Login, text: str) -> None:
    with pytest.raises(NotAuthenticated):
        await trusting(issuer).find(text)


async def test_keys_for_something_else_do_not_count(issuer: Login) -> None:
    """One that encrypts, and what nobody can read, are passed over."""
    issuer.more = [{"kty": "RSA", "kid": "first", "use": "enc"}, {"kty": "RSA"}, {"kty": "strange"}, {}]

    assert (await trusting(issuer).find(issuer.token())).scopes == {Access.READ}


async def test_keys_are_kept_and_a_new_one_is_fetched_when_a_token_names_it(issuer: Login) -> None:
    """Rotation needs nobody here, and what the issuer no longer shows is no good any more."""
    clock = Clock()
    trusted = trusting(issuer, clock)
    old = issuer.token()
    for _ in range(3):
        await trusted.find(old)
    assert issuer.asked == 1

    issuer.rotate("second")
    clock.now += PAUSE + 1
    await trusted.find(issuer.token())

    assert issuer.asked == 2
    with pytest.raises(NotAuthenticated):
        await trusted.find(old)


async def test_keys_are_fetched_anew_after_a_while(issuer: Login) -> None:
    """A key that the issuer has withdrawn is good for as long as that, and no longer."""
    clock = Clock()
    trusted = trusting(issuer, clock)
    old = issuer.token()
    await trusted.find(old)
    issuer.rotate("second")
    clock.now += FRESH + 1

    with pytest.raises(NotAuthenticated):
        await trusted.find(old)


async def test_invented_key_ids_do_not_make_us_ask_without_end(issuer: Login) -> None:
    """Whoever sends tokens decides what is in them, not how often the issuer is asked."""
    clock = Clock()
    trusted = trusting(issuer, clock)
    await trusted.find(issuer.token())
    for number in range(20):
        with pytest.raises(NotAuthenticated):
            await trusted.find(issuer.token(kid=f"made up {number}"))
    assert issuer.asked == 1

    clock.now += PAUSE + 1
    asked = [trusted.find(issuer.token(kid=f"made up {number}")) for number in range(20)]
    assert all(
        isinstance(one, NotAuthenticated) for one in await asyncio.gather(*asked, return_exceptions=True)
    )
    assert issuer.asked == 2


async def test_the_last_keys_are_good_while_the_issuer_is_away(issuer: Login) -> None:
    """For a day; and whoever asks is not told that the token is bad when nobody can say so."""
    clock = Clock()
    trusted = trusting(issuer, clock)
    await trusted.find(issuer.token())
    issuer.away = True
    clock.now += FRESH + 1
    assert (await trusted.find(issuer.token())).name.endswith("#alice")

    clock.now += STALE
    with pytest.raises(IssuerAway):
        await trusted.find(issuer.token())
    with pytest.raises(IssuerAway):
        await trusting(issuer).find(issuer.token())


async def test_an_issuer_that_calls_itself_otherwise_is_not_the_one(issuer: Login) -> None:
    """As OIDC has it: else one tenant of a login could speak for another."""
    issuer.name = "https://login.example.com/other"

    with pytest.raises(IssuerAway):
        await trusting(issuer).find(issuer.token())
