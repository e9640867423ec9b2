from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edgeloop.errors import EdgeloopError
from edgeloop.log import Log, forward_standard_logging, redact


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object(stream: io.StringIO) -> None:
    log = Log("Tested", stream=stream)
    log.info("read %d of %s\nnew line", 3, "x", level="not overwritten", odd=1j)
    (record,) = records(stream)
    assert record["message"] == "read 3 of x\nnew line"
    assert (record["level"], record["component"]) == ("info", "Tested")
    assert record["time"].endswith("Z")
    assert record["odd"] == "1j"


def test_numbers_stay_numbers(stream: io.StringIO) -> None:
    Log("Tested", stream=stream).info("x", value=np.float32(0.5), many=np.arange(3), count=7)
    (record,) = records(stream)
    assert (record["value"], record["many"], record["count"]) == (0.5, [0, 1, 2], 7)


def test_a_message_that_does_not_fit_its_arguments_is_still_a_line(stream: io.StringIO) -> None:
    Log("Tested", stream=stream).info("%d and %d", 1)
    assert records(stream)[0]["message"] == "%d and %d (1,)"


def test_debug_lines_need_debugging(stream: io.StringIO) -> None:
    Log("Tested", stream=stream).debug("hidden")
    Log("Tested", "debug", stream).debug("shown")
    assert [record["message"] for record in records(stream)] == ["shown"]


@pytest.mark.parametrize("debug", [False, True])
def test_an_exception_is_one_line_and_its_traceback_needs_debugging(stream: io.StringIO, debug: bool) -> None:
    log = Log("Tested", "debug" if debug else "info", stream)
    try:
        {}["absent"]  # type: ignore[index]
    except KeyError as error:
        log.exception(error)
    log.exception(EdgeloopError("no disk", mend="make room"))
    first, second = records(stream)
    assert first["message"].startswith("KeyError: 'absent' (in test_log.py line ")
    assert ("traceback" in first) is debug
    assert second["message"] == "no disk; make room"


def test_secrets_never_reach_a_line(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVCUID", "AbCdEfGh")
    log = Log("Tested", stream=stream)
    log.info("token AbCdEfGh at mqtt://user:hunter2@host", mqtt_password="hunter2", nested={"api_key": "hunter2"})
    log.error("refused: password=hunter2, secret: 'hunter2'", options=[{"accessToken": "hunter2"}])
    try:
        raise ValueError("token=hunter2")
    except ValueError as error:
        Log("Tested", "debug", stream).exception(error)
    log.info("starting ./own --password hunter2 --token='hunter2', http://cam/live?auth=hunter2&sig=hunter2")
    assert "hunter2" not in stream.getvalue()
    assert "AbCdEfGh" not in stream.getvalue()
    assert "***" in stream.getvalue()


def test_what_is_no_secret_stays() -> None:
    plain: dict[str, Any] = {"keyboard": "qwerty", "monkey": 1, "password": "", "topic": "edgeloop/x", "empty": []}
    plain["command"] = "./own --password-file /etc/x --tokens 5 --key 7"
    plain["text"] = "this process's token: exiting"
    assert redact(plain) == plain


@pytest.fixture
def _standard_logging() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers, root.level
    yield
    root.handlers = before
    root.setLevel(level)


@pytest.mark.usefixtures("_standard_logging")
def test_warnings_of_libraries_become_lines(stream: io.StringIO) -> None:
    forward_standard_logging(Log("Tested", stream=stream))
    logging.getLogger("lib").warning("careful: %s", "password=x")
    logging.getLogger("lib").info("chatter")
    (record,) = records(stream)
    assert (record["message"], record["logger"], record["level"]) == ("careful: password=***", "lib", "warning")


@pytest.mark.usefixtures("_standard_logging")
def test_a_library_that_talks_too_much_is_cut_short(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    forward_standard_logging(Log("Tested", stream=stream))
    now = 1_700_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    monkeypatch.setattr("time.time_ns", lambda: int(now * 1e9))
    for number in range(50):
        logging.getLogger("lib").error("failed %d\nframe\nframe", number)
    logging.getLogger("other").warning("x" * 9999)
    now += 61
    logging.getLogger("lib").error("failed again")
    said = records(stream)
    assert [r["message"] for r in said[:20]] == [f"failed {k}" for k in range(20)]
    assert said[20]["message"] == "x" * 500
    assert (said[21]["message"], said[21]["left_out"]) == ("failed again", 30)
    assert len(said) == 22


def test_a_closed_stream_ends_the_log_and_not_the_process(stream: io.StringIO) -> None:
    log = Log("Tested", stream=stream)
    stream.close()
    log.error("nobody reads this")
    log.error("nor this")
