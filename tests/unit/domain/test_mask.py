"""A mask blots out the secrets it knows, however they are spelled, and nothing else."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.domain.mask import MASKED, Mask, hiding

texts = st.text(st.characters(exclude_characters="*"))
secrets = st.text(st.characters(exclude_characters="*"), min_size=4)


def test_every_occurrence_is_blotted_out() -> None:
    """Once is not enough."""
    mask = Mask(["hunter2"])

    assert mask("hunter2, I said: hunter2!") == "********, I said: ********!"


def test_a_text_without_a_secret_stays_as_it_is() -> None:
    """A mask that knows nothing, or nothing that occurs, changes nothing."""
    assert Mask()("Opening directory") == "Opening directory"
    assert Mask(["hunter2", "Open sesame"])("Opening directory") == "Opening directory"


@pytest.mark.parametrize("text", ["", "h", "hun", "hunter"])
def test_a_short_text_is_no_trouble(text: str) -> None:
    """Shorter than any secret, it holds none."""
    assert Mask(["hunter2"])(text) == text


def test_the_longest_secret_goes_first() -> None:
    """Else the tail of the longer one would stay readable."""
    mask = Mask(["abcd", "abcd-efgh"])

    assert mask("key=abcd-efgh and abcd") == "key=******** and ********"


def test_a_secret_of_three_characters_is_ignored() -> None:
    """It is part of ordinary words, and where it was blotted out would tell what it is."""
    mask = Mask(["pay", ""])

    assert mask("payment") == "payment"


def test_a_secret_that_is_learnt_later_counts_at_once() -> None:
    """Also for a text that was looked at before and is remembered."""
    mask = Mask(["something"])
    assert mask("token hunter2") == "token hunter2"

    mask.add(["hunter2"])

    assert mask("token hunter2") == "token ********"
    assert mask("something") == MASKED


def test_what_is_at_hand_is_hidden_for_as_long() -> None:
    """By every mask, in whatever is started meanwhile, and nowhere else."""
    mask = Mask(["hunter2"])

    async def told(text: str) -> str:
        return await asyncio.create_task(asyncio.to_thread(mask, text))

    async def both() -> tuple[str, str]:
        async def hidden() -> str:
            with hiding(["DE89370400440532013000"]):
                return await told("hunter2 pays DE89370400440532013000")

        return await hidden(), await told("hunter2 pays DE89370400440532013000")

    assert asyncio.run(both()) == ("******** pays ********", "******** pays DE89370400440532013000")


def test_the_secret_itself_is_not_in_the_repr() -> None:
    """A mask ends up in tracebacks like everything else."""
    assert "hunter2" not in repr(Mask(["hunter2"]))


def test_many_threads_may_add_and_mask() -> None:
    """Installations come while tasks log: no secret that was added is lost."""
    mask = Mask()
    every = [f"secret-{n:04}" for n in range(400)]

    def learn(secret: str) -> str:
        mask.add([secret])
        return mask(f"<{secret}>")

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(learn, every)) == {"<********>"}
    assert set(map(mask, every)) == {MASKED}


@given(texts, secrets, texts)
def test_no_text_keeps_a_secret(before: str, secret: str, after: str) -> None:
    """Wherever it stands, in short texts and long ones."""
    mask = Mask([secret])

    assert secret not in mask(before + secret + after)
    assert secret not in mask(before + secret + after + "." * 300)


@given(secrets)
def test_a_secret_is_known_by_its_other_spellings(secret: str) -> None:
    """As an exception's repr, a JSON body and a URL in an error message would show it."""
    mask = Mask([secret])
    said = [repr({"key": secret}), json.dumps([secret]), json.dumps([secret], ensure_ascii=False)]

    for text in said:
        assert MASKED in mask(text)
        assert repr(secret)[1:-1] not in mask(text)


def test_a_secret_is_known_in_a_url() -> None:
    """Path and query quote differently."""
    mask = Mask(["p/w +é"])

    assert mask(f"https://x.example/{quote('p/w +é')}?{urlencode({'key': 'p/w +é'})}") == (
        "https://x.example/********?key=********"
    )
