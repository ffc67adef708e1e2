"""What an exception means for the run that let it out."""

import errno
import socket
import ssl
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paymux.runtime.outcomes import (
    ERROR_MAX,
    FIRST_DELAY,
    LONGEST_DELAY,
    LONGEST_WAIT,
    backoff,
    crashed,
    describe,
    judge,
)
from paymux.runtime.registry import UnknownConnector
from paymux.sdk import AskForLogin, BadConfig, Refused, SkipRecord, SlowDown, TryAgain, Unknown


def answer(status: int, **headers: str) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "https://provider.example")
    response = httpx.Response(
        status, headers={k.replace("_", "-"): v for k, v in headers.items()}, request=request
    )
    return httpx.HTTPStatusError("it said no", request=request, response=response)


@pytest.mark.parametrize("error", [
    TryAgain("busy"), httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), ConnectionResetError(),
    TimeoutError(),
    BrokenPipeError(), socket.gaierror(-3, "Temporary failure in name resolution"),
    OSError(errno.ENETUNREACH, "Network is unreachable"), answer(429), answer(500), answer(503),
    ExceptionGroup("both", [TryAgain("one"), ExceptionGroup("inner", [ConnectionResetError()])]),
], ids=lambda error: type(error).__name__)  # fmt: skip
def test_what_passes_is_tried_again(error: Exception) -> None:
    """The wire, and a provider that cannot answer now."""
    judgement = judge(error, 0)

    assert judgement.ending.outcome == "FAILED"
    assert judgement.ending.retry is not None
    assert FIRST_DELAY * 0.8 <= judgement.ending.retry <= FIRST_DELAY * 1.2
    assert not judgement.defect


@pytest.mark.parametrize(("error", "defect"), [
    (Refused("no"), False), (Unknown("?"), False), (AskForLogin("who"), False), (answer(400), True),
    (answer(404), True), (BadConfig("wrong"), False),
    (FileNotFoundError(2, "No such file", "/nowhere"), False), (PermissionError(13, "no"), False),
    (ValueError("what"), True), (RuntimeError(), True), (AssertionError(), True),
    (ExceptionGroup("both", [TryAgain("one"), ValueError("two")]), True),
    (ExceptionGroup("both", [TryAgain("one"), Refused("two")]), False),
])  # fmt: skip
def test_what_does_not_pass_is_final(error: Exception, defect: bool) -> None:  # noqa: FBT001 - an example's answer
    """Until its schedule, or a person, runs it again; a traceback is for defects."""
    judgement = judge(error, 5)

    assert judgement.ending.outcome == "FAILED"
    assert judgement.ending.retry is None
    assert judgement.defect is defect


def test_a_skipped_record_is_a_success_with_something_set_aside() -> None:
    """One, or all that a group of tasks skipped; a failure beside them loses none of them."""
    one = SkipRecord("one", raw="1", kind="account")
    two = SkipRecord("two", raw="2")

    alone = judge(one, 0)
    assert alone.ending.outcome == "SUCCEEDED"
    assert [(aside.kind, aside.reason, aside.raw) for aside in alone.aside] == [("account", "one", "1")]
    both = judge(ExceptionGroup("both", [one, two]), 0)
    assert both.ending.outcome == "SUCCEEDED"
    assert [aside.reason for aside in both.aside] == ["one", "two"]
    mixed = judge(ExceptionGroup("mixed", [one, TryAgain("later")]), 0)
    assert mixed.ending.outcome == "FAILED"
    assert mixed.ending.retry is not None
    assert len(mixed.aside) == 1


@pytest.mark.parametrize(("error", "wait"), [
    (SlowDown(timedelta(minutes=3)), timedelta(minutes=3)),
    (SlowDown(timedelta(days=900)), LONGEST_WAIT),
    (SlowDown(timedelta(0)), FIRST_DELAY),
    (SlowDown(timedelta(seconds=-5)), FIRST_DELAY),
    (answer(429, Retry_After="7"), timedelta(seconds=7)),
    (answer(503, Retry_After="9" * 400), LONGEST_WAIT),
    (answer(429, Retry_After="0"), FIRST_DELAY),
])  # fmt: skip
def test_the_provider_says_when(error: Exception, wait: timedelta) -> None:
    """Obeyed within reason: neither for ever nor in a tight loop."""
    assert judge(error, 3).ending.retry == wait


@pytest.mark.parametrize("after", ["", "soon", "-1", "1.5", "\u0663", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_wait_that_is_no_number_backs_off(after: str) -> None:
    """As if the provider had not said anything."""
    error = answer(429)
    error.response.headers = httpx.Headers([(b"Retry-After", after.encode())])
    retry = judge(error, 0).ending.retry

    assert retry is not None
    assert retry <= FIRST_DELAY * 1.2


@pytest.mark.parametrize(("error", "fault"), [
    (AskForLogin("revoked"), "LOGIN"), (BadConfig(fields={"key": "too short"}), "CONFIG"),
    (Refused("no"), None), (TryAgain("busy"), None), (ValueError("what"), None),
    (ExceptionGroup("both", [BadConfig("wrong"), TryAgain("busy")]), "CONFIG"),
    (ExceptionGroup("all", [BadConfig("wrong"), ExceptionGroup("in", [AskForLogin("revoked")])]), "LOGIN"),
])  # fmt: skip
def test_who_has_to_mend_it(error: Exception, fault: str | None) -> None:
    """Credentials and configs are for an operator; of a group, the login comes first."""
    assert judge(error, 3).ending.fault == fault


def test_a_connector_that_is_not_here_may_come_back() -> None:
    """It is tried again with back-off, said in its own words, and is nobody's defect."""
    judgement = judge(UnknownConnector("GONE"), 3)

    assert judgement.ending.retry is not None
    assert judgement.ending.error is not None
    assert judgement.ending.error.startswith("There is no connector 'GONE'.")
    assert not judgement.defect


@example(10**9)
@example(2**63)
@given(st.integers(0, 10**6))
def test_backing_off_doubles_up_to_a_limit(attempts: int) -> None:
    """Never negative, never over two minutes and a fifth, for any number of attempts."""
    delay = backoff(attempts)
    expected = min(FIRST_DELAY * 2 ** min(attempts, 20), LONGEST_DELAY)

    assert expected * 0.79 <= delay <= expected * 1.21


def test_who_kills_its_workers_is_given_a_rest() -> None:
    """Not for the first four, who may have died of anything; then a minute, doubled up to an hour."""
    assert [crashed(crashes) for crashes in range(5)] == [None] * 5
    for crashes, minutes in ((5, 1), (6, 2), (10, 32), (11, 60), (10**9, 60)):
        rest = crashed(crashes)
        assert rest is not None
        assert rest.retry is not None
        assert (rest.outcome, rest.fault) == ("FAILED", "CRASH")
        assert rest.error == f"Its worker died, or stood still, {crashes} times in a row while it ran."
        assert 0.8 <= rest.retry / timedelta(minutes=minutes) <= 1.2


def test_many_do_not_come_back_together() -> None:
    """The delays of a hundred tasks that failed at once differ."""
    assert len({backoff(100) for _ in range(100)}) > 90


class Mute(Exception):
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("and fails")


@pytest.mark.parametrize(("error", "text"), [
    (TryAgain("busy"), "busy"),
    (TryAgain(), "The provider could not be reached or could not answer."),
    (ValueError("what"), "ValueError: what"),
    (ValueError(), "ValueError"),
    (KeyError("id"), "KeyError: 'id'"),
    (TimeoutError("The task ran too long."), "The task ran too long."),
    (TimeoutError(), "TimeoutError"),
    (FileNotFoundError(2, "No such file or directory", "/nowhere"), "/nowhere: no such file or directory"),
    (Mute(), "Mute"),
    (ValueError("a\0b"), "ValueError: a\\u0000b"),
    (ValueError("half \ud800"), "ValueError: half \\ud800"),
    (ExceptionGroup("both", [TryAgain("one"), ValueError("two"), TryAgain("one")]), "one; ValueError: two"),
    (ssl.SSLError(1, "bad certificate"), "SSLError: ('bad certificate',)"),
])  # fmt: skip
def test_an_operator_reads_what_went_wrong(error: Any, text: str) -> None:
    """In words, of a length for lists, in characters that any database holds."""
    if isinstance(error, ssl.SSLError):
        assert describe(error).startswith("SSLError: ")
        return
    assert describe(error) == text


def test_a_page_of_html_is_cut() -> None:
    """What a proxy says instead of the provider."""
    assert len(describe(ValueError("<br>" * 10_000))) == ERROR_MAX
