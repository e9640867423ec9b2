from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeloop.config.load import convert
from edgeloop.health import Health
from edgeloop.log import Log
from edgeloop.models import report, store
from edgeloop.models.active import ActiveModel
from edgeloop.models.store import Pointer
from model_update.configuration import Configuration
from model_update.updates import Updates

_spec = importlib.util.spec_from_file_location(
    "linear_model", Path(__file__).parents[1] / "runtime" / "models" / "conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
linear_model = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(linear_model)
make = linear_model.make

NAME = "io.edgeloop.ModelUpdate"
USER = "io.edgeloop.CameraInference"


class Site:
    """ModelUpdate without a bus, and a component that uses the model `linear`."""

    def __init__(self, root: Path) -> None:
        self.root, self.work = root, root / "work" / NAME
        self.work.mkdir(parents=True)
        self.notices: list[tuple[str, bytes]] = []
        self.health = Health(NAME, lambda document: None)
        self.updates = self.again()

    def again(self) -> Updates:
        """As after a restart."""
        log = Log("ModelUpdate", "error")
        self.updates = Updates(self.root, self.work, lambda *m: self.notices.append(m), self.health, log)
        return self.updates

    def want(self, path: Path | str, digest: str = "", *, settings: dict[str, Any] | None = None, **model: Any) -> None:
        uri = path if isinstance(path, str) else f"file:{path}"
        probation = {"inferences": 5, "time": "0 s", **(settings or {}).get("probation", {})}
        entry = {"uri": uri, "digest": digest, **model}
        document = {**(settings or {}), "models": {"linear": entry}, "probation": probation}
        self.updates.apply(convert(document, Configuration))
        self.updates._due.clear()

    @property
    def pointer(self) -> Pointer | None:
        return store.read(store.directory(self.root, "linear"))

    @property
    def problem(self) -> str:
        return self.health.problems.get("model.linear", "")

    def user(self, **options: Any) -> ActiveModel:
        return ActiveModel("linear", USER, self.root, period=0.1, **options)

    def commit(self, path: Path, digest: str) -> None:
        """Brings a version to where it stays."""
        self.want(path, digest)
        self.updates.advance()
        with self.user() as user:
            assert user.current is not None
            user.used(user.current, 10)
        self.updates._due.clear()
        self.updates.advance()
        assert self.pointer is not None
        assert (self.pointer.state, self.pointer.active and self.pointer.active.digest) == ("committed", digest)

    def reports(self) -> list[report.Report]:
        return list(report.all_of(self.root, "linear"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "root")


def until(condition: Callable[[], object], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.01)
