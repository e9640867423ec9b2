"""A real core with the Runtime installed once per worker."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal

import pytest

from edgeloop_tools.build import build
from edgeloop_tools.demo.plan import Plan
from edgeloop_tools.harness.line import Line

CHECKOUT = Path(__file__).resolve().parents[2]
INSTALL_SECONDS = 400

Nucleus = Literal["classic", "lite"]
Running = Callable[[Nucleus, Plan], AbstractContextManager[Line]]
Until = Callable[..., None]


@pytest.fixture(scope="session")
def root() -> Iterator[Path]:
    """The core's folder: short, because of the socket, and open to the components' user."""
    folder = Path(tempfile.mkdtemp(prefix="edgeloop-"))
    folder.chmod(0o711)
    build()
    yield folder / "core"
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def until() -> Until:
    def wait(condition: Callable[[], object], seconds: float = 30, what: str = "") -> None:
        """Fails where the condition does not come true in time."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{what or 'it'} did not happen within {seconds:g} s"
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def running(root: Path, until: Until) -> Running:
    """A line as the demo deploys it, once its samples are on the bus."""

    @contextmanager
    def start(nucleus: Nucleus, plan: Plan) -> Iterator[Line]:
        with Line(root, nucleus) as line:
            deployment = line.deploy(CHECKOUT / "recipes", CHECKOUT / "artifacts", plan.roots, plan.merge())
            line.core.wait(deployment, timeout=INSTALL_SECONDS)
            line.poll()
            until(lambda: line.recording.announced_bytes, 30, "a first sample")
            yield line

    return start
