import base64
import json
from collections.abc import Callable
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from paymux.domain.errors import InvalidId, InvalidText, shown
from paymux.domain.ids import (
    ID_CHARS_MAX,
    AccountParts,
    ConnectorID,
    PaymentParts,
    account_id,
    canonical_json,
    parse_account_id,
    parse_payment_id,
    payment_adjustment_id,
    payment_id,
    row_key,
    task_id,
)

Vectors = Callable[[str], list[dict[str, Any]]]

INSTALLATION = UUID("93b44ff6-d939-473d-ba59-c754c7cd8777")
CONNECTOR = ConnectorID("DUMMY-PAY", INSTALLATION)
CONNECTOR_TEXT = (
    "eyJQcm92aWRlciI6IkRVTU1ZLVBBWSIsIlJlZmVyZW5jZSI6IjkzYjQ0ZmY2LWQ5MzktNDczZC1iYTU5LWM3NTRjN2NkODc3NyJ9"
)
ACCOUNT_TEXT = (
    "eyJDb25uZWN0b3JJRCI6eyJQcm92aWRlciI6IkRVTU1ZLVBBWSIsIlJlZmVyZW5jZSI6IjkzYjQ0ZmY2LWQ5MzktNDczZC1iYTU5LWM3"
    "NTRjN2NkODc3NyJ9LCJSZWZlcmVuY2UiOiJhY2NfMSJ9"
)
PAYMENT_TEXT = (
    "eyJDb25uZWN0b3JJRCI6eyJQcm92aWRlciI6IkRVTU1ZLVBBWSIsIlJlZmVyZW5jZSI6IjkzYjQ0ZmY2LWQ5MzktNDczZC1iYTU5LWM3"
    "NTRjN2NkODc3NyJ9LCJSZWZlcmVuY2UiOiJ0ZXN0IiwiVHlwZSI6IlRSQU5TRkVSIn0"
)
NAUGHTY = 'tab\tnl\n\r\b\f\x00\x0b\x1f\x7f\u0080 "quoted\\" <&>/ \u2028\ufeff \U0001f600 e\u0301'

connectors = st.builds(ConnectorID, st.text(), st.uuids())


def encoded(value: object) -> str:
    """Encode as anybody would by hand: spaces, padding, keys as they come."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


# Identifiers


def test_every_measured_connector_id_is_made_and_read(vectors: Vectors) -> None:
    """Clients of the reference hold these; they stay valid."""
    for vector in vectors("connector_id"):
        connector = ConnectorID(vector["in"]["provider"], UUID(vector["in"]["reference"]))
        assert connector.encode() == vector["out"]
        assert ConnectorID.parse(vector["out"]) == connector


def test_every_measured_account_id_is_made_and_read(vectors: Vectors) -> None:
    """Control characters, marks of every script and 500 letters included."""
    for vector in vectors("account_id"):
        connector = ConnectorID.parse(vector["in"]["connector"])
        assert account_id(connector, vector["in"]["reference"]) == vector["out"]
        if vector["out"]:
            assert parse_account_id(vector["out"]) == AccountParts(connector, vector["in"]["reference"])


def test_every_measured_payment_id_is_made_and_read(vectors: Vectors) -> None:
    """The type is part of the identifier."""
    for vector in vectors("payment_id"):
        given = vector["in"]
        connector = ConnectorID.parse(given["connector"])
        assert payment_id(connector, given["reference"], given["type"]) == vector["out"]
        assert parse_payment_id(vector["out"]) == PaymentParts(connector, given["reference"], given["type"])


def test_every_measured_payment_adjustment_id_is_made(vectors: Vectors) -> None:
    """Down to the nanosecond of its time."""
    for vector in vectors("payment_adjustment_id"):
        given = vector["in"]
        payment = parse_payment_id(given["payment_id"])
        made = payment_adjustment_id(payment, given["reference"], given["createdAt"], given["status"])
        assert made == vector["out"]


def test_the_documented_identifiers_are_made() -> None:
    """One of each kind, so a copy of the project that stands alone is tested too."""
    assert CONNECTOR.encode() == CONNECTOR_TEXT
    assert account_id(CONNECTOR, "acc_1") == ACCOUNT_TEXT
    assert payment_id(CONNECTOR, "test", "TRANSFER") == PAYMENT_TEXT


@given(connectors)
def test_a_connector_id_reads_back(connector: ConnectorID) -> None:
    """Whatever the provider is called."""
    assert ConnectorID.parse(connector.encode()) == connector


def test_an_account_without_a_reference_has_the_empty_id() -> None:
    """So it is with the reference, whose clients read it as no account."""
    assert account_id(CONNECTOR, "") == ""
    with pytest.raises(InvalidId):
        parse_account_id("")


@given(connectors, st.text(min_size=1))
def test_an_account_id_reads_back(connector: ConnectorID, reference: str) -> None:
    """References are the providers', so they hold anything."""
    assert parse_account_id(account_id(connector, reference)) == AccountParts(connector, reference)


@given(connectors, st.text(), st.text())
def test_a_payment_id_reads_back(connector: ConnectorID, reference: str, payment_type: str) -> None:
    """References are the providers', so they hold anything."""
    parts = PaymentParts(connector, reference, payment_type)

    assert parse_payment_id(payment_id(connector, reference, payment_type)) == parts


@given(connectors, st.text(min_size=1), st.text(), st.text(), st.text())
def test_identifiers_are_canonical_json(
    connector: ConnectorID, reference: str, payment_type: str, created_at: str, status: str
) -> None:
    """They are put together by hand for speed, and come out as the one writer would write them."""
    inside = {"Provider": connector.provider, "Reference": str(connector.reference)}
    account = {"Reference": reference, "ConnectorID": inside}
    payment = account | {"Type": payment_type}
    report = {"Status": status, "Reference": reference, "PaymentID": payment, "CreatedAt": created_at}
    parts = PaymentParts(connector, reference, payment_type)

    for text, value in [
        (connector.encode(), inside),
        (account_id(connector, reference), account),
        (payment_id(connector, reference, payment_type), payment),
        (payment_adjustment_id(parts, reference, created_at, status), report),
    ]:
        assert base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode() == canonical_json(value)


def test_a_naughty_reference_survives_a_url() -> None:
    """Nothing of it shows: an identifier is letters, digits, ``-`` and ``_``."""
    text = payment_id(CONNECTOR, NAUGHTY, "PAYOUT")

    assert text.replace("-", "").replace("_", "").isalnum()
    assert text.isascii()
    assert parse_payment_id(text).reference == NAUGHTY


def test_padding_spaces_and_order_are_no_matter() -> None:
    """An identifier that a client put together by hand is taken for what it says."""
    by_hand = {
        "Reference": "a",
        "ConnectorID": {"Reference": str(INSTALLATION).upper(), "Provider": "DUMMY-PAY"},
    }

    for pad in ("", " ", "  "):
        assert parse_account_id(encoded(by_hand | {"Reference": pad})) == AccountParts(CONNECTOR, pad)


def test_an_enumeration_is_written_by_its_value() -> None:
    """Types and statuses are enumerations in the code and text outside."""

    class Kind(StrEnum):
        PAYMENT = "PAYOUT"

    assert payment_id(CONNECTOR, "a", Kind.PAYMENT) == payment_id(CONNECTOR, "a", "PAYOUT")
    assert canonical_json({Kind.PAYMENT: Kind.PAYMENT}) == '{"PAYOUT":"PAYOUT"}'


INSIDE = {"Provider": "DUMMY-PAY", "Reference": str(INSTALLATION)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        "not base64",
        "e30",
        "bnVsbA",
        "eyJ",
        "A",
        "\uff25yJ9",
        CONNECTOR_TEXT,
        PAYMENT_TEXT,
        ACCOUNT_TEXT[:-1],
        ACCOUNT_TEXT + "\n",
        ACCOUNT_TEXT + " ",
        ACCOUNT_TEXT + "=",
        ACCOUNT_TEXT + "===",
        ACCOUNT_TEXT.replace("9", "+"),
        encoded(["a"]),
        encoded({"ConnectorID": INSIDE}),
        encoded({"ConnectorID": INSIDE, "Reference": 5}),
        encoded({"ConnectorID": INSIDE, "Reference": None}),
        encoded({"ConnectorID": INSIDE, "Reference": "a", "Other": "b"}),
        encoded({"ConnectorID": INSIDE | {"Reference": "not a uuid"}, "Reference": "a"}),
        encoded({"ConnectorID": {"Provider": "DUMMY-PAY"}, "Reference": "a"}),
        encoded({"ConnectorID": CONNECTOR_TEXT, "Reference": "a"}),
        encoded({"Provider": "EXAMPLE", "Reference": "test", "Type": "TRANSFER"}),
        encoded({"ConnectorID": INSIDE, "Reference": "half \ud800"}),
        base64.urlsafe_b64encode(b'{"Reference":"\xff"}').decode(),
        base64.urlsafe_b64encode(b"[" * 6000).decode(),
        encoded({"ConnectorID": INSIDE, "Reference": "x" * ID_CHARS_MAX}),
        "e" * 1_000_000,
        "\u00e9" * 1_000_000,
    ],
    ids=shown,
)
def test_what_is_no_account_id_is_refused_in_few_words(text: str) -> None:
    """An identifier of another kind, a cut one, a made-up one: each is an InvalidId of a bounded length."""
    with pytest.raises(InvalidId) as refused:
        parse_account_id(text)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("text", [ACCOUNT_TEXT, PAYMENT_TEXT, "", "e30"])
def test_what_is_no_connector_id_is_refused(text: str) -> None:
    """One kind is never taken for another."""
    with pytest.raises(InvalidId):
        ConnectorID.parse(text)


@pytest.mark.parametrize("text", [ACCOUNT_TEXT, CONNECTOR_TEXT, "", "e30"])
def test_what_is_no_payment_id_is_refused(text: str) -> None:
    """One kind is never taken for another."""
    with pytest.raises(InvalidId):
        parse_payment_id(text)


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_text_is_an_id_or_is_refused(text: str) -> None:
    """Nothing but an InvalidId comes out of bad text."""
    with pytest.raises(InvalidId):
        parse_payment_id(text)


@pytest.mark.parametrize("half", ["\ud800", chr(0xDFFF), "a\ud83d", "\ud83d\ude00"])
def test_half_of_a_surrogate_pair_is_refused(half: str) -> None:
    """Such text has no bytes, so it can be neither stored nor sent."""
    for make in (
        lambda: account_id(CONNECTOR, half),
        lambda: payment_id(CONNECTOR, half, "PAYOUT"),
        lambda: ConnectorID(half, INSTALLATION).encode(),
        lambda: row_key(INSTALLATION, "payment", half),
        lambda: canonical_json({"key": half}),
        lambda: canonical_json({half: "value"}),
    ):
        with pytest.raises(InvalidText):
            make()


# Keys of rows and tasks


def test_a_row_key_never_changes() -> None:
    """Rows are filed under it for years; another hash would lose them all."""
    assert row_key(INSTALLATION, "payment", "pi_3Nabc") == UUID("7f20bdb4-ec86-b434-73e7-a8d80a2c35d6")
    assert row_key(INSTALLATION, "account", "") == UUID("ad563d0b-6dcf-6f7a-08e8-d2c25af122ae")


keys = st.tuples(st.uuids(), st.text(), st.text())


@given(keys, keys)
def test_distinct_rows_have_distinct_keys(left: tuple[UUID, str, str], right: tuple[UUID, str, str]) -> None:
    """And the same row has the same key."""
    assert (row_key(*left) == row_key(*right)) == (left == right)


@given(st.uuids(), st.text(min_size=1), st.data())
def test_no_letter_slips_from_kind_to_reference(installation: UUID, text: str, data: st.DataObject) -> None:
    """``("ab", "c")`` and ``("a", "bc")`` are two rows."""
    cuts = st.integers(0, len(text))
    one, other = data.draw(cuts), data.draw(cuts)
    assume(one != other)

    assert row_key(installation, text[:one], text[one:]) != row_key(installation, text[:other], text[other:])


def test_a_row_key_is_a_whole_uuid() -> None:
    """It is made without UUID's own constructor, and behaves as if it were not."""
    key = row_key(INSTALLATION, "payment", "pi_3Nabc")

    assert key == UUID(str(key)) == UUID(bytes=key.bytes)
    assert hash(key) == hash(UUID(str(key)))
    assert type(key) is UUID


def test_a_task_id_never_changes() -> None:
    """A task is found again by its descriptor after every restart."""
    assert task_id(INSTALLATION, '"directory"') == UUID("dcf5b9cd-a080-5c29-8fff-28033148f964")
    assert task_id(INSTALLATION, '"directory"') != task_id(INSTALLATION, '"other"')
