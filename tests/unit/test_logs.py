"""One event is one line, whatever is in it, and no secret is in any line."""

import json
import logging
import re
import shlex
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from paymux import logs
from paymux.domain.mask import MASKED, Mask

CONNECTOR_ID = "eyJQcm92aWRlciI6IkVYQU1QTEUifQ"
TASK_ID = "6b545863-889c-4418-98b2-8e1a85ed9a49"


class Log:
    """A log that writes to memory, with a fresh configuration."""

    def __init__(self, log_format: logs.LogFormat = "logfmt", level: logs.LogLevel = "info") -> None:
        self.mask = Mask()
        self.stream = BytesIO()
        logs.configure(log_format, level, self.mask, self.stream)
        self.logger = structlog.get_logger()

    @property
    def text(self) -> str:
        return self.stream.getvalue().decode()

    @property
    def line(self) -> str:
        assert self.text.count("\n") == 1, self.text
        return self.text.rstrip("\n")

    @property
    def event(self) -> dict[str, Any]:
        """The one line, as JSON."""
        return dict(json.loads(self.line))

    @property
    def rest(self) -> str:
        """The one line after the time, which is never the same."""
        return self.line.partition(" ")[2]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def fail(error: Exception) -> NoReturn:
    raise error


def test_a_line_looks_like_the_tutorials() -> None:
    """Time, level, message and component come first, then the rest in the order it was given."""
    log = Log()
    bound = log.logger.bind(connectorID=CONNECTOR_ID, component="scheduler", **{"task-id": TASK_ID})

    bound.info("Opening directory '/tmp/payments'...", files=3)

    assert re.fullmatch(r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", log.line.partition(" ")[0])
    assert log.rest == (
        "level=info msg=\"Opening directory '/tmp/payments'...\" component=scheduler "
        f"connectorID={CONNECTOR_ID} task-id={TASK_ID} files=3"
    )


def test_the_time_is_now_in_utc() -> None:
    """Lines of machines in different zones can be put in order."""
    log = Log("json")

    log.logger.info("x")

    assert abs(datetime.now(UTC) - datetime.fromisoformat(log.event["time"])) < timedelta(minutes=1)


def test_a_line_may_be_json() -> None:
    """The same fields in the same order, with their types."""
    log = Log("json")

    log.logger.info(
        "Found files", count=3, ratio=0.5, done=True, by=None, names=["a", {"b": 2}], component="x"
    )

    assert list(log.event) == ["time", "level", "msg", "component", "count", "ratio", "done", "by", "names"]
    assert log.event["names"] == ["a", {"b": 2}]
    assert (log.event["count"], log.event["ratio"], log.event["done"], log.event["by"]) == (
        3,
        0.5,
        True,
        None,
    )


class Colour(StrEnum):
    RED = "red"


class Unwilling:
    def __str__(self) -> str:
        raise RuntimeError("no")


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "hi"', r'"say \"hi\""'),
        (r"C:\temp", r'"C:\\temp"'),
        ("a\nb\r\tc", r'"a\nb\r\tc"'),
        ("\x1b[31mred", r'"\u001b[31mred"'),
        ("a\x85b\u2028c\u202ed\x7f", r'"a\u0085b\u2028c\u202ed\u007f"'),
        ("half \ud800", r'"half \ud800"'),
        ("Zürich 💶", '"Zürich 💶"'),
        (True, "true"),
        (None, "null"),
        (1.5, "1.5"),
        (float("nan"), "nan"),
        (10**30, str(10**30)),
        (10**5000, '"<int that cannot be shown>"'),
        (Decimal("1.10"), "1.10"),
        (Path("/in"), "/in"),
        (Colour.RED, "red"),
        (b"a\xff", r'"a\\xff"'),
        (datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC), "2026-11-23T01:02:03Z"),
        ({"a": [1, "x y"]}, r'"{\"a\":[1,\"x y\"]}"'),
        ({1: {"b"}}, r'"{\"1\":[\"b\"]}"'),
        (ValueError("went wrong"), '"ValueError: went wrong"'),
        (Unwilling(), '"<Unwilling that cannot be shown>"'),
        (LOOP, r'"[[[[[[\"…\"]]]]]]"'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_value_has_a_form(value: object, shown: str) -> None:
    """Bare where that is clear, quoted and escaped where it is not, named by type where nothing helps."""
    log = Log()

    log.logger.info("x", value=value)

    assert log.rest == f"level=info msg=x value={shown}"


@pytest.mark.parametrize(
    ("key", "shown"),
    [("a b", "a_b"), ("a=b", "a_b"), ("", "_"), ("a\nb", "a_b"), ('"', "_"), ("task-id", "task-id")],
)
def test_an_odd_key_cannot_break_a_line(key: str, shown: str) -> None:
    """Keys come from a provider's data too, when a connector's author logs it."""
    log = Log()

    log.logger.info("x", **{key: 1})

    assert log.rest == f"level=info msg=x {shown}=1"


def test_a_field_that_is_named_like_one_of_ours_is_kept_apart() -> None:
    """Nobody forges the level or the time of a line."""
    log = Log()

    log.logger.info("x", level="error", time="never", msg="y")

    assert log.rest == "level=info msg=x level_=error time_=never msg_=y"


def test_a_value_of_any_length_is_cut() -> None:
    """A document does not become a line; both of its ends do, for a traceback's last line says the most."""
    log = Log("json")

    log.logger.info("x", value="a" * 50_000 + "z", many=list(range(1_000)))

    assert len(log.event["value"]) < logs.VALUE_CHARS_MAX + 100
    assert log.event["value"].endswith("az")
    assert len(log.event["many"]) == logs.ITEMS_MAX


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
def test_a_traceback_is_one_field(log_format: logs.LogFormat) -> None:
    """It can be searched for with its line, and its text is whole."""
    log = Log(log_format)

    try:
        fail(ValueError("line one\nline two"))
    except ValueError:
        log.logger.exception("Task terminated with error")

    assert "level=error" in log.line or log.event["level"] == "error"
    assert "ValueError: line one\\nline two" in log.line
    assert "test_logs.py" in log.line


def test_an_exception_may_be_handed_over() -> None:
    """Where it was caught is not always where it is logged."""
    log = Log("json")

    log.logger.error("Task terminated with error", exc_info=KeyError("later"))

    assert log.event["traceback"] == "KeyError: 'later'"


def test_an_exception_that_cannot_be_shown_is_logged_anyway() -> None:
    """The error in the error's own text does not hide where it happened."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    log = Log("json")

    log.logger.error("x", error=MuteError(), exc_info=MuteError())

    assert log.event["error"] == "<MuteError that cannot be shown>"
    assert "MuteError" in log.event["traceback"]


def test_exc_info_without_an_exception_adds_nothing() -> None:
    """A line about no exception has no traceback."""
    log = Log("json")

    log.logger.error("x", exc_info=True)  # noqa: LOG014 - that is what is tested

    assert list(log.event) == ["time", "level", "msg"]


def test_what_is_less_severe_than_the_level_is_not_logged() -> None:
    """Debug lines cost nothing unless asked for."""
    log = Log(level="warning")

    log.logger.debug("a")
    log.logger.info("b")
    log.logger.warning("c")

    assert log.rest == "level=warning msg=c"


@pytest.mark.parametrize("name", ["uvicorn.error", "litestar", "pgqueuer", "asyncio", "some.library"])
def test_warnings_of_libraries_look_like_ours(name: str) -> None:
    """Even from a library that had set up handlers and a level of its own."""
    library = logging.getLogger(name)
    if name != "some.library":
        library.addHandler(logging.NullHandler())
        library.propagate = False
    library.setLevel(logging.INFO)
    log = Log()

    library.info("all is well")
    library.warning("lost %s of %d", "some\nthing", 3)
    library.setLevel(logging.NOTSET)

    assert library.handlers == []
    assert log.rest == rf'level=warning msg="lost some\nthing of 3" component={name}'


def test_a_library_that_logs_wrongly_is_heard_anyway() -> None:
    """Arguments that do not fit are the library's mistake, and no reason to lose the message."""
    log = Log()

    logging.getLogger("some.library").error("lost %d", "some")

    assert log.rest == 'level=error msg="lost %d" component=some.library'


def test_the_traceback_of_a_library_is_one_field() -> None:
    """The event loop reports forgotten tasks in this way."""
    log = Log()
    log.mask.add(["hunter2"])

    try:
        fail(ValueError("hunter2"))
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")

    assert f"ValueError: {MASKED}" in log.line


def test_python_warnings_are_lines_too() -> None:
    """A deprecated call in a connector is written like everything else."""
    log = Log()

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("this will go\naway", DeprecationWarning, stacklevel=1)

    assert "component=py.warnings" in log.line


def test_a_closed_pipe_stops_nobody() -> None:
    """``paymux serve 2>&1 | head`` goes on working when head has gone."""
    log = Log()
    log.stream.close()

    log.logger.info("nobody reads this")


def test_logs_go_to_standard_error(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Standard output has the address of the service, for scripts to read; lines are not held back."""
    logs.configure("logfmt", "info", Mask())

    structlog.get_logger().info("hello")

    out, err = capfdbinary.readouterr()
    assert out == b""
    assert err.endswith(b"level=info msg=hello\n")


def test_a_secret_is_blotted_out_wherever_it_is() -> None:
    """In the message, a key, a nested value, an object's text and an exception, learnt at any time."""
    log = Log()
    logger = log.logger.bind(early="hunter2")
    log.mask.add(["hunter2"])

    try:
        fail(ValueError({"password": "hunter2"}))
    except ValueError as error:
        logger.exception(
            "key hunter2", hunter2=1, deep=[{"hunter2": ("hunter2",)}], error=error, path=Path("hunter2")
        )

    assert "hunter2" not in log.line
    assert log.line.count(MASKED) == 8


def everything_about(value: str, log_format: logs.LogFormat) -> str:
    """A line with ``value`` all over it, masked: as written and as read back, without the time."""
    log = Log(log_format)
    log.mask.add([value])
    logger = log.logger.bind(key=value)
    message = f"with {value}"
    try:
        fail(ValueError(value, {"key": value}))
    except ValueError as error:
        logger.exception(message, nested={"a": [value]}, error=error, raw=value.encode())
    if log_format == "logfmt":
        return log.rest
    rest = log.line.partition(",")[2]
    return rest + str(json.loads("{" + rest))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=4), st.sampled_from(["logfmt", "json"]))
def test_no_secret_reaches_a_line(secret: str, log_format: logs.LogFormat) -> None:
    """Whatever it looks like, escaped or not; what is there without it, such as a key, is no leak."""
    said = everything_about(secret, log_format)
    around = everything_about("????", log_format)

    assert secret not in said or secret in around
    assert repr(secret)[1:-1] not in said or repr(secret)[1:-1] in around


@given(st.dictionaries(st.text(), st.text() | st.binary() | st.integers() | st.floats()), st.text())
def test_one_event_is_one_line(fields: dict[str, Any], message: str) -> None:
    """No text can forge a second line, and every field can be told from the next."""
    log = Log()

    log.logger.bind(**{f"f{key}": value for key, value in fields.items()}).info(message)

    assert len(log.text.splitlines()) == 1
    assert log.line.isprintable()
    assert len(shlex.split(log.line)) == 3 + len(fields)


@given(st.dictionaries(st.text(), st.text()), st.text())
def test_one_event_is_one_json_object(fields: dict[str, str], message: str) -> None:
    """Text comes back as it was, half surrogate pairs included."""
    log = Log("json")

    log.logger.bind(**{f"f{key}": value for key, value in fields.items()}).info(message)

    assert log.event["msg"] == message
    assert {key[1:]: value for key, value in log.event.items() if key.startswith("f")} == fields
