"""What a probe component does on a device: packed with the Runtime's IPC client, standard library alone.

It appends one line of JSON for each thing it sees to `said` in its work folder, and then stays.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import stat
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import ipc

HUNG_UP = 69
SLICE = 0.1


def say(what: str, **more: Any) -> None:
    with open("said", "a") as file:
        file.write(json.dumps({"what": what, "pid": os.getpid(), **more}) + "\n")


class Client:
    """One connection; streams count up."""

    def __init__(self) -> None:
        self._link = socket.socket(socket.AF_UNIX)
        self._link.settimeout(30)
        self._link.connect(os.environ[ipc.SOCKET])
        self._stream = 0
        token = {"authToken": os.environ[ipc.TOKEN]}
        headers = {":message-type": ipc.CONNECT, ":message-flags": 0, ":stream-id": 0, ":version": "0.1.0"}
        self._link.sendall(ipc._frame(headers, token))
        ipc._read(self._link)

    def ask(self, operation: str, request: dict[str, Any]) -> int:
        self._stream += 1
        headers = {
            ":message-type": 0, ":message-flags": 0, ":stream-id": self._stream,
            "operation": f"aws.greengrass#{operation}", ":content-type": "application/json",
            "service-model-type": f"aws.greengrass#{operation}Request",
        }  # fmt: skip
        self._link.sendall(ipc._frame(headers, request))
        return self._stream

    def hear(self, stream: int, seconds: float) -> tuple[int, dict[str, Any]]:
        """(message type, document) of the next word on a stream; raises OSError where none comes."""
        end = time.monotonic() + seconds
        while True:
            self._link.settimeout(max(0.01, end - time.monotonic()))
            headers, payload = ipc._read(self._link)
            if headers.get(":stream-id") == stream:
                return headers.get(":message-type", -1), json.loads(payload or b"{}")


def message(size: int) -> None:
    """Whether a binary message of that size on an own topic arrives."""
    try:
        client = Client()
        stream = client.ask("SubscribeToTopic", {"topic": "contract/own"})
        client.hear(stream, 20)
        binary = {"message": base64.b64encode(bytes(size)).decode()}
        client.ask("PublishToTopic", {"topic": "contract/own", "publishMessage": {"binaryMessage": binary}})
        _, event = client.hear(stream, 60)
        say("message", size=size, arrived=len(base64.b64decode(event["binaryMessage"]["message"])))
    except (OSError, KeyError, ipc.BusError) as error:
        say("message", size=size, arrived=0, why=type(error).__name__)


def cloud(topic: str) -> None:
    client = Client()
    stream = client.ask("SubscribeToIoTCore", {"topicName": topic, "qos": "1"})
    say("asked")
    kind, answer = client.hear(stream, 600)
    say("answered", kind=kind, code=answer.get("_errorCode", ""))


def stay(follow: bool) -> None:
    """Until standard input hangs up, where a nucleus holds it."""
    pipe, told = stat.S_ISFIFO(os.fstat(0).st_mode), None
    poll = select.poll()
    if pipe:
        poll.register(0, 0)
    say("start", parent=os.getppid(), pipe=pipe, credentials="AWS_CONTAINER_CREDENTIALS_FULL_URI" in os.environ)
    while True:
        if follow:
            try:
                configuration = ipc.configuration(5)
            except ipc.BusError:
                continue
            configuration.pop("accessControl", None)
            if configuration != told:
                told = configuration
                say("configuration", values=configuration)
        if not poll.poll(1000 * (SLICE if follow else 10)):
            continue
        say("hung up")
        sys.exit(HUNG_UP)


def main() -> None:
    ipc.LARGEST = 40 << 20
    with zipfile.ZipFile(Path(sys.argv[0])) as own:
        wish = json.loads(own.read("wish.json"))
    if wish.get("size"):
        for size in wish["size"]:
            message(size)
    if wish.get("cloud"):
        cloud(wish["cloud"])
    stay(bool(wish.get("follow")))


if __name__ == "__main__":
    main()
