"""What may happen to an order, and what is made of it."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paymux.domain.payment import PaymentStatus
from paymux.domain.transfer import (
    AT_THE_PROVIDER,
    BEGINNINGS,
    KEY_CHARS_MIN,
    OUTCOME_UNKNOWN,
    TRANSITIONS,
    UNKNOWN,
    Fate,
    NotInThisStatus,
    TransferEvent,
    TransferStatus,
    after,
    fate,
    folded,
    idempotency_key,
    shown,
)

S, E = TransferStatus, TransferEvent
WALKS = st.lists(st.sampled_from(E), max_size=30)


def walked(
    beginning: TransferStatus, events: list[TransferEvent]
) -> list[tuple[TransferStatus, TransferEvent]]:
    """The steps of those that were allowed, with the status before each."""
    steps: list[tuple[TransferStatus, TransferEvent]] = []
    status = beginning
    for event in events:
        if (status, event) in TRANSITIONS:
            steps.append((status, event))
            status = TRANSITIONS[status, event]
    return steps


def test_every_status_can_be_reached() -> None:
    """A status that nothing leads to would be a word without a meaning."""
    reached = set(BEGINNINGS)
    while more := {to for (at, _), to in TRANSITIONS.items() if at in reached} - reached:
        reached |= more

    assert reached == set(S)


def test_only_a_rejected_and_a_wholly_reversed_order_have_come_to_their_end() -> None:
    """From everything else there is a way on, if only for a person."""
    assert set(S) - {at for at, _ in TRANSITIONS} == {S.REJECTED, S.REVERSED}


@given(st.sampled_from(sorted(BEGINNINGS)), WALKS)
def test_an_order_is_sent_again_only_after_a_definite_failure(
    beginning: TransferStatus, events: list[TransferEvent]
) -> None:
    """Between two attempts that have different keys stands a FAILED, never an UNKNOWN."""
    steps = walked(beginning, events)

    assert all(status is S.FAILED for status, event in steps if event is E.RETRY)
    sends = [status for status, event in steps if event is E.SEND and status is not S.ASK_REVERSED]
    assert sends[:1] in ([], [S.VALIDATED])
    assert all(status is S.ASK_RETRIED for status in sends[1:])


@given(st.sampled_from(sorted(BEGINNINGS)), WALKS)
def test_nothing_is_sent_that_nobody_has_approved(
    beginning: TransferStatus, events: list[TransferEvent]
) -> None:
    """One that waits is sent after somebody's approval, one that was rejected never."""
    happened = [event for _, event in walked(beginning, events)]

    if beginning is S.WAITING_FOR_VALIDATION and E.SEND in happened:
        assert happened[0] is E.APPROVE
    if E.REJECT in happened:
        assert happened == [E.REJECT]


@given(st.sampled_from(sorted(BEGINNINGS)), WALKS)
def test_the_status_is_the_fold_of_what_happened(
    beginning: TransferStatus, events: list[TransferEvent]
) -> None:
    """There is nothing else to it; and what does not belong is refused."""
    steps = walked(beginning, events)
    end = folded(beginning, [event for _, event in steps])

    assert end == (TRANSITIONS[steps[-1]] if steps else beginning)
    for event in E:
        if (end, event) not in TRANSITIONS:
            with pytest.raises(NotInThisStatus, match=end):
                after(end, event)


def test_not_knowing_is_shown_as_processing_with_a_word_about_it() -> None:
    """The tutorial's interface has twelve statuses; ours has two more."""
    assert {shown(status).status for status in S} == set(S) - UNKNOWN
    assert shown("UNKNOWN", "timed out").error == OUTCOME_UNKNOWN
    assert (shown("REVERSE_UNKNOWN").status, shown("REVERSE_UNKNOWN").error) == (
        S.REVERSE_PROCESSING, OUTCOME_UNKNOWN,
    )  # fmt: skip
    assert shown("FAILED", "no money").error == "no money"
    assert shown("PROCESSED", None).error == ""
    assert UNKNOWN < AT_THE_PROVIDER


def test_only_a_definite_no_means_that_nothing_moved() -> None:
    """A status that nobody knows is waited for, and a refund means that it had moved."""
    definite = {PaymentStatus.FAILED, PaymentStatus.CANCELLED, PaymentStatus.EXPIRED}

    assert {status for status in PaymentStatus if fate(status) is Fate.NOT_MOVED} == definite
    assert {status for status in PaymentStatus if fate(status) is Fate.PENDING} == {
        PaymentStatus.PENDING,
        PaymentStatus.OTHER,
    }


@given(st.uuids(), st.text(max_size=50).filter(lambda text: text.isprintable()), st.integers(1, 9999))
def test_an_attempt_has_one_key_within_every_limit(installation: UUID, reference: str, attempt: int) -> None:
    """The same attempt after a crash, in another process, has the same key."""
    for limit in range(KEY_CHARS_MIN, 70):
        key = idempotency_key(installation, reference, attempt, limit)
        assert key == idempotency_key(installation, reference, attempt, limit)
        assert KEY_CHARS_MIN <= len(key) <= limit
        assert key.isascii()
        assert key.replace("-", "").isalnum()


def test_other_attempts_have_other_keys() -> None:
    """Whether another number, another order or another installation; and a UUID where that fits."""
    one, other = uuid4(), uuid4()
    asked = [(one, "a", 1), (one, "a", 2), (one, "a1", 1), (one, "", 1), (other, "a", 1)]

    for limit in (16, 25, 26, 32, 36, 64):
        assert len({idempotency_key(*attempt, limit) for attempt in asked}) == len(asked)
    assert str(UUID(idempotency_key(one, "a", 1, 36))) == idempotency_key(one, "a", 1, 36)
    with pytest.raises(ValueError, match="16"):
        idempotency_key(one, "a", 1, 15)
