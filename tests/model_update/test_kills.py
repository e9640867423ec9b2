"""SIGKILL before each change of the file system, one after the other: a model always serves, and the next process
finishes what the killed one began."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeloop.models import store
from edgeloop.models.active import ActiveModel

Run = Callable[..., int]


@pytest.fixture
def run() -> Iterator[Run]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("killed_process.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:

        def order(**job: Any) -> int:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield order


def serving(root: Path) -> float:
    """The bias of the model that a component finds which starts now."""
    with ActiveModel("linear", "io.edgeloop.Observer", root) as active:
        assert active.current is not None
        return float(active.current.runner.run(np.ones((1, 4), np.float32))[0][0, 0] - 12)


@pytest.mark.long
@pytest.mark.parametrize("fails", [False, True], ids=["from file to commit", "from activation to the way back"])
def test_a_kill_at_any_point_leaves_a_model_serving(
    site: Any, make: Any, run: Run, tmp_path: Path, fails: bool
) -> None:
    site.commit(*make(1.0))
    shutil.rmtree(site.root / "work" / "io.edgeloop.CameraInference")
    path, digest = make(2.0, version="2.0.0")
    if fails:
        site.want(path, digest)
        site.updates.advance()
    document = {
        "models": {"linear": {"uri": f"file:{path}", "digest": digest}},
        "probation": {"inferences": 5, "time": "0 s"},
    }
    kills, seen = 0, set()
    while True:
        root = tmp_path / f"root{kills}"
        shutil.copytree(site.root, root)
        code = run(root=str(root), document=document, kill=kills + 1, fails=fails)
        seen.add(serving(root))
        if code == 0:
            break
        assert code == -9
        kills += 1
        assert run(root=str(root), document=document, kill=0, fails=fails) == 0
        pointer = store.read(store.directory(root, "linear"))
        assert pointer is not None
        assert pointer.active is not None
        progress = json.loads((root / "work" / "io.edgeloop.ModelUpdate" / "progress" / "linear.json").read_text())
        if pointer.active.digest == digest:
            assert (pointer.state, fails) == ("committed", False)
        else:
            reasons = " ".join(progress["refused"].values())
            assert "it ended the process or hung" in reasons or (fails and "10 of 10 runs failed" in reasons)
        left = {path.name for path in (root / "work" / "io.edgeloop.ModelUpdate" / "store" / "linear").iterdir()}
        refs = [ref.digest for ref in (pointer.active, pointer.previous) if ref]
        assert left == {"pointer.json", *refs}
        assert serving(root) in (1, 2)
        shutil.rmtree(root)
    assert kills > (20 if fails else 40)
    assert seen == {1, 2}
