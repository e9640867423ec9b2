from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from edgeloop.config.declaration import Declaration
from edgeloop_tools.build import archive
from edgeloop_tools.cli import main
from edgeloop_tools.harness.aws import Cloud


@pytest.fixture(scope="session")
def storage() -> Iterator[str]:
    """A local S3."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def real_archive(monkeypatch: pytest.MonkeyPatch) -> Callable[[Declaration[Any]], bytes]:
    """Archives are made of a few bytes, as what they hold is nothing to these tests; this one makes a real one."""
    original = archive.pyz
    monkeypatch.setattr(archive, "pyz", lambda declaration: f"code of {declaration.name}".encode())
    return original


@pytest.fixture
def cloud(storage: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An empty account; no request may be other than the services describe."""
    made = Cloud(storage)
    made.forward("POST", "/moto-api/reset", {}, b"")
    for key in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(key, raising=False)
    for key, value in made.environment().items():
        monkeypatch.setenv(key, value)
    yield made
    made.close()
    assert made.wrong == []


Said = tuple[int, str, str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs the program; (exit code, standard output, standard error)."""

    def call(*words: object) -> Said:
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call
