"""Log lines: one line an event, as logfmt or JSON, on standard error, with no secret in it.

``time=2026-11-23T01:02:03.123456Z level=info msg="Found files" component=scheduler count=3``

Everything goes through one place: our own events by structlog, and what libraries log (warnings and
worse), so that both look the same and neither can give a secret away. Writing a line never fails: a
value that cannot be shown is named by its type, and a closed pipe is not a reason to stop a task.
"""

import json
import logging
import math
import re
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from threading import RLock
from typing import Any, BinaryIO, Literal

import structlog

from paymux.domain.mask import Mask

LogFormat = Literal["logfmt", "json"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]

# A longer value is a document and not part of a line; a traceback of a hundred frames fits.
VALUE_CHARS_MAX = 16_384
# What is nested deeper, or longer, nobody reads in a log line; a loop ends here as well.
DEPTH_MAX = 6
ITEMS_MAX = 100
# A number of more bits is somebody's mistake, and Python refuses to write out the longest ones.
INTEGER_BITS_MAX = 4_096

# Libraries that may have handlers of their own, which would write past us.
_LOUD = ("asyncio", "litestar", "pgqueuer", "uvicorn", "uvicorn.access", "uvicorn.error")
# What a logfmt value may consist of without quotes, and a key at all.
_BARE = re.compile(r"[\w.:;/@+,%*!?()<>\[\]&|$#~^-]+", re.ASCII)
_NOT_IN_KEY = re.compile(r"[^\w./-]", re.ASCII)

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_encode_readable = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode


def configure(log_format: LogFormat, level: LogLevel, mask: Mask, stream: BinaryIO | None = None) -> None:
    """Set up structlog, the standard library's logging and its warnings for this process.

    ``mask`` may learn more secrets later; ``stream`` is standard error unless said otherwise. Give
    uvicorn ``log_config=None`` and Litestar ``logging_config=None``, or they bring handlers back.
    """
    lines = _Lines(stream or sys.stderr.buffer)
    renderer = _Renderer(mask, _json_line if log_format == "json" else _logfmt_line)
    structlog.configure(
        # What a request has bound (its id) is on every line that is logged for it.
        processors=[structlog.contextvars.merge_contextvars, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        context_class=dict,
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    for name in _LOUD:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    threshold = max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()])
    # The root's level does not hold for loggers that have their own, so the handler has it too.
    logging.basicConfig(handlers=[_LibraryHandler(lines, renderer, threshold)], level=threshold, force=True)
    logging.captureWarnings(capture=True)


class _Lines:
    """Writes whole lines, one after the other whoever writes, each flushed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        # Reentrant: the garbage collector may run a finaliser that logs while a line is written.
        self._lock = RLock()

    def msg(self, line: str) -> None:
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        with self._lock:
            try:
                self._stream.write(data)
                self._stream.flush()
            except (OSError, ValueError, RuntimeError):  # closed, full or busy: work goes before its log
                return

    # structlog calls the method that is named like the level.
    notset = debug = info = warning = error = critical = msg


class _Renderer:
    """A structlog processor: from an event and its fields to the masked line."""

    def __init__(self, mask: Mask, line: Callable[[dict[str, Any]], str]) -> None:
        self._mask = mask
        self._line = line

    def __call__(self, _: object, level: str, event: MutableMapping[str, Any]) -> str:
        fields: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": level,
            "msg": self._plain(event.pop("event", "")),
        }
        exc_info = event.pop("exc_info", None)
        if "component" in event:
            fields["component"] = self._plain(event.pop("component"))
        for key, value in event.items():
            name = self._mask(str(key))
            while name in fields:
                name += "_"
            fields[name] = self._plain(value)
        if exc_info and (text := _traceback(exc_info)):
            fields["traceback"] = self._plain(text)
        return self._line(fields)

    def _plain(self, value: object, depth: int = 0) -> Any:
        """Return the value as masked JSON values of a bearable size, whatever it is."""
        if type(value) is str:
            return _cut(self._mask(value))
        if value is None or isinstance(value, bool):
            return value
        try:
            return self._plainer(value, depth)
        except Exception:  # noqa: BLE001 - it is somebody else's __str__ or __iter__, and only a log line
            return f"<{type(value).__name__} that cannot be shown>"

    def _plainer(self, value: object, depth: int) -> Any:
        match value:
            case int() if value.bit_length() <= INTEGER_BITS_MAX:
                return int(value)
            case float() if math.isfinite(value):
                return float(value)
            case Mapping() | list() | tuple() | set() | frozenset() if depth == DEPTH_MAX:
                return "…"
            case Mapping():
                items = islice(value.items(), ITEMS_MAX)
                return {self._mask(str(key)): self._plain(part, depth + 1) for key, part in items}
            case list() | tuple() | set() | frozenset():
                return [self._plain(part, depth + 1) for part in islice(value, ITEMS_MAX)]
            case str():
                text = str.__str__(value)
            case bytes():
                text = value.decode("utf-8", "backslashreplace")
            case BaseException():
                text = f"{type(value).__name__}: {value}"
            case datetime():
                text = value.isoformat().replace("+00:00", "Z")
            case _:
                text = str(value)
        return _cut(self._mask(text))


class _LibraryHandler(logging.Handler):
    """Takes what libraries log to the same lines; the logger's name is the component."""

    def __init__(self, lines: _Lines, renderer: _Renderer, level: int) -> None:
        super().__init__(level)
        self._lines = lines
        self._renderer = renderer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's mistake in its log arguments is not ours to stop for
            message = str(record.msg)
        level = logging.getLevelName(min(record.levelno // 10 * 10, logging.CRITICAL)).lower()
        event = {"event": message, "component": record.name, "exc_info": record.exc_info}
        self._lines.msg(self._renderer(None, level, event))


def _logfmt_line(fields: dict[str, Any]) -> str:
    return " ".join([f"{_key(key)}={_logfmt(value)}" for key, value in fields.items()])


@lru_cache(1024)  # keys are words of the code, and the same few on every line
def _key(key: str) -> str:
    return _NOT_IN_KEY.sub("_", key) or "_"


def _logfmt(value: object) -> str:
    if type(value) is int or type(value) is float:
        return repr(value)
    text = value if isinstance(value, str) else _encode_readable(value)
    return text if _BARE.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    # Whatever breaks a line, moves the cursor or turns the direction of writing is not printable.
    if not text.isprintable():
        text = "".join([char if char.isprintable() else _encode(char)[1:-1] for char in text])
    return f'"{text}"'


def _json_line(fields: dict[str, Any]) -> str:
    return _encode(fields)


def _cut(text: str) -> str:
    """Keep both ends of what is too long: a traceback's last line says the most."""
    excess = len(text) - VALUE_CHARS_MAX
    if excess <= 0:
        return text
    half = VALUE_CHARS_MAX // 2
    return f"{text[:half]}… {excess} characters …{text[-half:]}"


def _traceback(exc_info: object) -> str:
    match exc_info:
        case BaseException():
            error: BaseException | None = exc_info
        case (_, BaseException() as error, _):
            pass
        case _:
            error = sys.exc_info()[1]
    return "".join(traceback.format_exception(error)).rstrip() if error else ""
