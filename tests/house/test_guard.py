"""No client in a test's own process leaves the machine, whatever it was given for an address."""

from __future__ import annotations

import asyncio
import errno
import socket
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

OUTSIDE = ("192.0.2.1", 443)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_no_socket_reaches_another_machine(kind: int) -> None:
    with socket.socket(socket.AF_INET, kind) as client:
        client.settimeout(1)
        with pytest.raises(OSError, match="does not leave the machine: 192.0.2.1") as raised:
            client.connect(OUTSIDE)
        assert raised.value.errno == errno.ENETUNREACH
        assert client.connect_ex(OUTSIDE) == errno.ENETUNREACH
        with pytest.raises(OSError, match="does not leave the machine"):
            client.sendto(b"x", OUTSIDE)


def test_no_name_is_looked_up() -> None:
    with pytest.raises(socket.gaierror, match="does not leave the machine"):
        socket.create_connection(("example.com", 443), timeout=1)
    assert socket.getaddrinfo("localhost", 80)


def test_loopback_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x")
        assert server.accept()[0].recv(1) == b"x"


def test_an_event_loop_is_held_back_too() -> None:
    with ThreadPoolExecutor() as elsewhere, pytest.raises(OSError, match="does not leave the machine"):
        elsewhere.submit(lambda: asyncio.run(asyncio.open_connection(*OUTSIDE))).result(60)


def test_a_client_of_aws_without_an_endpoint_goes_nowhere() -> None:
    session = boto3.Session("key", "secret", region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=1)
    client = session.client("kinesisvideo", config=config)  # type: ignore[call-overload,unused-ignore]
    with pytest.raises(EndpointConnectionError):
        client.get_data_endpoint(StreamName="cam1", APIName="PUT_MEDIA")
