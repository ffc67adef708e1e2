"""API tokens: of a token the service keeps its hash, and finds by it whose it is."""

import hashlib

import pytest

from paymux.api.auth import tokens
from paymux.api.auth.callers import Access


def test_a_new_token_is_found_by_its_line() -> None:
    """The line for the service does not hold the token, and whoever has the token is who the line says."""
    token, line = tokens.new("grafana", [Access.READ, Access.CONFIG])
    caller = tokens.parse(line).find(token)

    assert token not in line
    assert hashlib.sha256(token.encode()).hexdigest() in line
    assert caller is not None
    assert (caller.name, set(caller.scopes)) == ("token:grafana", {Access.READ, Access.CONFIG})


def test_two_tokens_are_never_the_same() -> None:
    assert tokens.new("a", [Access.READ]) != tokens.new("a", [Access.READ])


def test_each_token_is_its_own() -> None:
    """Among several, each finds its own, and what is none of them finds nobody."""
    made = [tokens.new(name, [Access.READ]) for name in ("a", "b", "c")]
    known = tokens.parse(" , ".join(line for _, line in made))

    assert [known.find(token).name for token, _ in made] == ["token:a", "token:b", "token:c"]  # type: ignore[union-attr]
    for nobody in (
        "",
        "pmx_",
        made[0][0][:-1],
        made[0][0] + "a",
        "é",
        "\udc80",
        made[0][1].rpartition(":")[2],
    ):
        assert known.find(nobody) is None


def test_scopes_may_be_written_in_full() -> None:
    hashed = "0" * 64
    (short, long) = (
        tokens.parse(f"a:{scopes}:{hashed}") for scopes in ("read+write", "payments:read+payments:write")
    )

    assert short._tokens == long._tokens


@pytest.mark.parametrize(
    "line",
    [
        "grafana",
        "grafana:read",
        "grafana::" + "0" * 64,
        "grafana:admin:" + "0" * 64,
        "grafana:read:" + "0" * 63,
        "grafana:read:" + "g" * 64,
        ":read:" + "0" * 64,
        "a b:read:" + "0" * 64,
        f"a:read:{'0' * 64},a:write:{'1' * 64}",
    ],
)
def test_a_line_that_is_none_is_refused(line: str) -> None:
    """With a message that says what one looks like, and repeats nothing of it."""
    with pytest.raises(tokens.BadTokens) as refused:
        tokens.parse(line)

    assert "grafana" not in str(refused.value)
    assert "000" not in str(refused.value)


def test_no_tokens_let_nobody_in() -> None:
    known = tokens.parse("")

    assert not known
    assert known.find("") is None


def test_whoever_may_write_may_read_and_no_more() -> None:
    """As the reference has it; configs are apart from both."""
    caller = tokens.parse("a:write:" + "0" * 64)._tokens[0].caller

    assert [caller.may(access) for access in (Access.READ, Access.WRITE, Access.CONFIG)] == [
        True,
        True,
        False,
    ]
