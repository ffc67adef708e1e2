"""From a file's content to a payment: what is waited for, and what is given up."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.e2e.service import payment_file

from paymux.connectors.example.mapping import SIZE_MAX, payment
from paymux.sdk import PaymentScheme, SkipRecord, TryAgain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A file that is a payment, with fields that mean nothing to us before and behind those that do."""
    before, behind = (draw(st.dictionaries(st.text(min_size=20), JSON, max_size=2)) for _ in range(2))
    known: dict[str, Any] = json.loads(payment_file("reference", amount=draw(st.integers(-(10**77), 10**77))))
    text = json.dumps(
        before | known | behind, ensure_ascii=draw(st.booleans()), indent=draw(st.none() | st.just(1))
    )
    return text.encode("utf-8", "surrogatepass")


@given(files(), st.data())
def test_any_beginning_of_a_file_is_waited_for_until_it_is_settled(
    content: bytes, data: st.DataObject
) -> None:
    """Wherever the writer has got to, it is not mistaken for a bad file, nor for a payment."""
    half = content[: data.draw(st.integers(0, len(content) - 1))]

    with pytest.raises(TryAgain, match=r"^a\.json: "):
        payment("a.json", half, settled=False)
    with pytest.raises(SkipRecord, match=r"^a\.json: ") as refused:
        payment("a.json", half, settled=True)

    assert refused.value.raw == half
    assert payment("a.json", content, settled=False).raw == content


@given(st.binary())
def test_any_content_at_all_is_a_payment_or_a_reason(content: bytes) -> None:
    """Nothing that lies in a directory is a defect of ours."""
    for settled in (False, True):
        with pytest.raises((TryAgain, SkipRecord), match=r"^a\.json: "):
            payment("a.json", content, settled=settled)


def test_a_file_of_another_kind_is_not_read_to_its_end() -> None:
    """What is larger than any payment is refused by its size, and not waited for."""
    content = b" " * (SIZE_MAX + 1)
    with pytest.raises(SkipRecord, match=r"^a\.json: larger than"):
        payment("a.json", content, settled=False)


def test_the_scheme_may_be_left_out() -> None:
    """Not every provider knows the rails."""
    found = payment("a.json", payment_file("a", scheme=None).encode(), settled=True)
    assert found.scheme is PaymentScheme.UNKNOWN
