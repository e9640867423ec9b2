from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from awscrt.exceptions import AwsCrtError
from awsiot.eventstreamrpc import ConnectionClosedError, StreamClosedError, UnmappedDataError
from awsiot.greengrasscoreipc import model

from edgeloop.bus.link import BusClosed, BusNotFound, BusRefused, BusTimeout, Link, Native, answer, explained
from edgeloop.errors import BusError


@pytest.mark.parametrize(
    ("error", "kind", "part"),
    [
        (model.UnauthorizedError(message="no"), BusRefused, "is not allowed: no; add it to the component's"),
        (model.ResourceNotFoundError(message="gone"), BusNotFound, "failed: gone"),
        (model.ServiceError(message="busy"), BusError, "failed: busy"),
        (ConnectionClosedError(), BusClosed, "the connection is closed (ConnectionClosedError)"),
        (StreamClosedError(), BusClosed, "the connection is closed"),
        (AwsCrtError(1, "AWS_X", "socket is closed."), BusClosed, "the connection is closed"),
        (RuntimeError("1048 (AWS_IO_SOCKET_CLOSED): socket is closed."), BusClosed, "(socket is closed)"),
        (UnmappedDataError("odd"), BusError, "UnmappedDataError: odd"),
        (BusTimeout("late"), BusTimeout, "late"),
    ],
)
def test_what_the_sdk_raises_in_our_words(error: Exception, kind: type[BusError], part: str) -> None:
    found = explained(error, "the call")
    assert type(found) is kind
    assert part in str(found)


def test_no_answer_in_time_is_a_timeout() -> None:
    never: Future[Any] = Future()
    with pytest.raises(BusTimeout, match=r"the call got no answer: 0.01 s passed"):
        answer(lambda: never, "the call", 0.01)


def test_an_error_before_the_call_is_one_of_the_call() -> None:
    def call() -> Future[Any]:
        raise ConnectionClosedError

    with pytest.raises(BusClosed):
        answer(call, "the call")


def test_publishing_over_a_connection_that_has_ended_is_an_error_of_the_bus(tmp_path: Path) -> None:
    """The SDK raises what is its own before anything is sent, the moment the nucleus is dead."""
    link = Link(Native(), tmp_path / "none.socket", "token", lambda reason: None)
    message = model.PublishMessage(binary_message=model.BinaryMessage(message=b"x"))
    with pytest.raises(BusClosed, match="publishing to t failed"):
        link.publish("t", message, 1.0)
    link.close().exception(60)
