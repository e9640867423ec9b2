"""Logs: one JSON object a line on standard output, never a secret."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import traceback
from types import TracebackType
from typing import Any, Final, Literal, TextIO

from edgeloop.clock import now, rfc3339
from edgeloop.documents import encode
from edgeloop.errors import EdgeloopError

Level = Literal["debug", "info", "warning", "error"]
_LEVELS: Final[tuple[Level, ...]] = ("debug", "info", "warning", "error")
HIDDEN: Final = "***"
LINES: Final = 20
"""Of one library's logger in a minute."""
LONGEST: Final = 500
"""Characters of such a line."""

_SECRET_NAME = re.compile(r"(?i)password|passwd|secret|token|(?:^|[_-])key(?:$|[_-])|apikey|credential|svcuid")
_SECRET_IN_TEXT = re.compile(
    r"(?i)((?:password|passwd|secret|token|api_?key|access_?key|credentials?)[\w-]*[\"']?(?:\s*=\s*[\"']?|:\s*[\"']|:(?=\S))"
    r"|(?:password|passwd)[\"']?:\s+)([^\s\"',;&}]+)"
)
_SECRET_IN_URL = re.compile(r"(\w+://[^\s/:@]*:)([^\s/@]+)(@)")
_NAMES = r"(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key)"
_NO_FILE = r"(?![\w-]*(?:file|path))(?:[_-][\w-]*)?"
_SECRET_OPTION = re.compile(rf"(?i)(?<![\w-])(--?[\w-]*{_NAMES}{_NO_FILE}(?:\s+|=)[\"']?)([^\s\"'-][^\s\"']*)")
"""Of a command line: `--password x`, `-token=x`; not `--token-file x`."""
_SECRET_VARIABLE = re.compile(rf"(?i)(?<![\w-])(\w*{_NAMES}{_NO_FILE}=)(\S+)")
_SECRET_IN_QUERY = re.compile(rf"(?i)([?&;](?:[\w-]*(?:{_NAMES}|pwd|signature)|auth|sig|key)=)([^\s&;\"']+)")
_SECRET_VARIABLES = ("SVCUID", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def redact(value: Any, name: str = "") -> Any:
    """A copy without what is, by its name or its form, a secret.

    >>> redact({"url": "mqtt://me:pass@host", "token": "abc", "deep": [{"api_key": 1}], "text": "password=x y"})
    {'url': 'mqtt://me:***@host', 'token': '***', 'deep': [{'api_key': '***'}], 'text': 'password=*** y'}
    """
    if name and secret(name) and value not in (None, "", {}, []):
        return HIDDEN
    if isinstance(value, dict):
        return {key: redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(item) for item in value]
    if isinstance(value, str):
        return _redact_text(value)
    return value


def secret(name: str) -> bool:
    """
    >>> [secret(name) for name in ("mqtt_password", "key", "aws_access_key_id", "keyboard", "monkey")]
    [True, True, True, False, False]
    """
    return _SECRET_NAME.search(name) is not None


def secret_in(text: str) -> str:
    """Where a text has a secret in it: "a URL", "its query", "a command"; empty where there is none.

    >>> [secret_in(x) for x in ("rtsp://me:pass@host", "http://cam/?token=ab", "./own --password x", "./own -v x")]
    ['a URL', 'its query', 'a command', '']
    """
    if _SECRET_IN_URL.search(text):
        return "a URL"
    if _SECRET_IN_QUERY.search(text):
        return "its query"
    return "a command" if _SECRET_OPTION.search(text) or _SECRET_VARIABLE.search(text) else ""


def _redact_text(text: str) -> str:
    for variable in _SECRET_VARIABLES:
        known = os.environ.get(variable, "")
        if len(known) >= 6:
            text = text.replace(known, HIDDEN)
    for pattern in (_SECRET_OPTION, _SECRET_IN_QUERY, _SECRET_IN_TEXT):
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return _SECRET_IN_URL.sub(rf"\1{HIDDEN}\3", text)


def _formatted(message: str, arguments: tuple[object, ...]) -> str:
    try:
        return message % arguments if arguments else message
    except (TypeError, ValueError):
        return f"{message} {arguments!r}"


class Log:
    """`log.info("connected to %s", host, attempt=3)`: a message, and fields beside it. Safe on any thread."""

    def __init__(self, component: str, level: Level = "info", stream: TextIO | None = None) -> None:
        self.component = component
        self.debugging = level == "debug"
        self._threshold = _LEVELS.index(level)
        self._stream = stream
        self._lock = threading.Lock()

    def debug(self, message: str, /, *arguments: object, **fields: Any) -> None:
        self.write("debug", message, *arguments, **fields)

    def info(self, message: str, /, *arguments: object, **fields: Any) -> None:
        self.write("info", message, *arguments, **fields)

    def warning(self, message: str, /, *arguments: object, **fields: Any) -> None:
        self.write("warning", message, *arguments, **fields)

    def error(self, message: str, /, *arguments: object, **fields: Any) -> None:
        self.write("error", message, *arguments, **fields)

    def exception(self, error: BaseException, /, **fields: Any) -> None:
        """One line for an error; its traceback only while debugging."""
        if self.debugging:
            fields["traceback"] = "".join(traceback.format_exception(error))
        self.write("error", "%s", summary(error), **fields)

    def write(self, level: Level, message: str, /, *arguments: object, **fields: Any) -> None:
        if _LEVELS.index(level) < self._threshold:
            return
        text = _formatted(message, arguments)
        record = {"time": rfc3339(now()), "level": level, "component": self.component, "message": redact(text)}
        record |= {key: item for key, item in redact(fields).items() if key not in record}
        try:
            line = encode(record).decode()
        except (TypeError, ValueError):
            line = encode({k: v if isinstance(v, str) else repr(v) for k, v in record.items()}).decode()
        stream = self._stream or sys.stdout
        with self._lock:
            try:
                stream.write(line + "\n")
                stream.flush()
            except (BrokenPipeError, ValueError):
                self._threshold = len(_LEVELS)


def summary(error: BaseException) -> str:
    """One line for any exception.

    >>> summary(KeyError("x")), summary(EdgeloopError("no disk", mend="make room"))
    ("KeyError: 'x'", 'no disk; make room')
    """
    if isinstance(error, EdgeloopError):
        return str(error)
    place = _innermost(error.__traceback__)
    return " ".join(f"{type(error).__name__}: {error}{place}".split())


def _innermost(trace: TracebackType | None) -> str:
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f" (in {os.path.basename(code.co_filename)} line {trace.tb_lineno}, {code.co_name})"


class _Forward(logging.Handler):
    """The first line of each record, at most LINES a minute from one logger; how many more there were is said."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._said: dict[str, tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        began, count = self._said.get(record.name, (0.0, 0))
        if record.created - began >= 60.0 or record.created < began:
            left_out, began, count = max(0, count - LINES), record.created, 0
        else:
            left_out = 0
        self._said[record.name] = (began, count + 1)
        if count >= LINES:
            return
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        lines = record.getMessage().strip().splitlines()
        more = {"left_out": left_out} if left_out else {}
        self._log.write(level, "%s", lines[0][:LONGEST] if lines else "", logger=record.name, **more)


def forward_standard_logging(log: Log) -> None:
    """Warnings and errors of libraries that use `logging` become lines of `log`; of the SDK the bus tells."""
    root = logging.getLogger()
    root.handlers = [_Forward(log)]
    root.setLevel(logging.WARNING)
    logging.getLogger("awsiot").setLevel(logging.CRITICAL)
