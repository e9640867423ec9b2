"""A batch of samples that the process dies of, whatever is done against it, costs two processes and itself alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

RUN = """
import os, signal, sys
from fractions import Fraction
from pathlib import Path

import numpy as np

from anomaly_inference.declaration import DECLARATION
from anomaly_inference.engine import Engine
from anomaly_inference.service import Service
from edgeloop import component
from edgeloop.component import App
from edgeloop.wire.batch import Batch, Channel

component._START = 0.1
os.environ |= {"SVCUID": "nobody", "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": "/nowhere"}
taken = []
process = Engine.process

def deadly(self, *items, now=None):
    if any(item.index == 20 and item.stream == "b" for item in items):
        os.kill(os.getpid(), signal.SIGKILL)
    taken.extend(f"{item.stream}{item.index}" for item in items)
    return process(self, *items, now=now)

Engine.process = deadly

def batch(stream, index):
    return Batch(stream, 1, index, index, (Channel("x"),), np.zeros((10, 1), "<i2"), rate=Fraction(10))

with App.start(DECLARATION, ["--root", sys.argv[1]]) as app:
    service = Service(app)
    service._samples.read = lambda timeout: [batch(s, n) for n in (0, 10, 20, 30) for s in "ab"]
    service.infer(0)
    print("taken", *taken, flush=True)
    service.close()
"""


def run(root: Path) -> tuple[int, list[str]]:
    done = subprocess.run([sys.executable, "-c", RUN, str(root)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


def test_a_batch_that_ends_the_process_is_found_among_its_tick_and_set_aside(tmp_path: Path) -> None:
    assert run(tmp_path)[0] == -signal.SIGKILL
    assert run(tmp_path)[0] == -signal.SIGKILL
    code, said = run(tmp_path)
    assert code == 0
    assert "taken a0 b0 a10 b10 a20 a30 b30" in said
    assert any("a batch of samples was in hand 2 times in a row" in line for line in said)
    (about,) = (tmp_path / "work" / "io.edgeloop.AnomalyInference" / "set-aside").glob("*.json")
    assert json.loads(about.read_text())["from"] == "b/1/20"
    assert about.with_suffix(".input").stat().st_size > 20
