"""Nothing phones home: every dependency of every profile and of the tools, used where each look-up is written down."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeloop_tools.build.lock import EXTRAS, PROFILES

SECONDS = float(os.environ.get("EDGELOOP_SILENCE", "14"))
"""s that each program goes on for. onnxruntime's first call comes 9 s after its import."""
LOCAL = ("home/.cache/matplotlib/", "home/.config/matplotlib/")
"""What matplotlib, of the tools alone, keeps of this machine's fonts."""
NAMESPACES = ["unshare", "--net", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
SCRIPT = Path(__file__).with_name("silence.py")

USE = {
    "onnxruntime": "onnxruntime.InferenceSession(model(), providers=['CPUExecutionProvider']).run(None, {'x': [2.0]})",
    "cv2": "import numpy; cv2.imdecode(cv2.imencode('.jpg', numpy.zeros((8, 8, 3), 'uint8'))[1], 1)",
    "boto3": "boto3.client('s3', region_name='eu-west-1', aws_access_key_id='a', aws_secret_access_key='b')",
    "pyarrow": "import pyarrow.parquet as p; p.write_table(pyarrow.table({'a': [1]}), 'a.parquet')",
    "paho": "import paho.mqtt.client as m; m.Client(m.CallbackAPIVersion.VERSION2)",
    "matplotlib": "matplotlib.use('agg'); import matplotlib.pyplot as p; p.plot([1, 2]); p.savefig('a.png')",
    "duckdb": "duckdb.sql('select 1').fetchall()",
    "awscrt": "import awscrt.io as i; i.EventLoopGroup(1)",
}
"""What is done with a dependency beyond its import, by its top module."""
MODEL = """
def model():
    from onnx import TensorProto as T, helper as h
    one = [h.make_tensor_value_info(n, T.FLOAT, [1]) for n in 'xy']
    graph = h.make_graph([h.make_node('Abs', ['x'], ['y'])], 'g', one[:1], one[1:])
    return h.make_model(graph, opset_imports=[h.make_opsetid('', 13)], ir_version=9).SerializeToString()
"""


def run(folder: Path, program: str, seconds: float) -> dict[str, Any]:
    command = [*NAMESPACES, sys.executable, str(SCRIPT), str(seconds), str(folder), program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 120)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["code"] == 0, done.stderr
    return found


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    if subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no network namespaces")


def modules() -> list[str]:
    wanted = {name for profile in PROFILES.values() for name in profile.imports}
    wanted |= {name for extra in EXTRAS.values() for name in extra.imports}
    return sorted(name for name in wanted if importlib.util.find_spec(name.partition(".")[0]))


def test_no_dependency_looks_anybody_up_or_leaves_a_file(tmp_path: Path) -> None:
    lines = ["import edgeloop, edgeloop_tools", MODEL]
    for name in modules():
        lines.append(f"import {name}")
        top = name.partition(".")[0]
        if top in USE:
            lines.append(f"import {top}; {USE[top]}")
    found = run(tmp_path / "space", "\n".join(lines), SECONDS)
    assert found["names"] == []
    assert [file for file in found["files"] if not file.startswith(LOCAL)] == []


def test_this_test_hears_a_look_up_and_sees_a_file(tmp_path: Path) -> None:
    program = (
        "import pathlib, socket\n"
        "pathlib.Path.home().joinpath('left').touch()\n"
        "try: socket.getaddrinfo('collector.example.com', 443)\n"
        "except OSError: pass\n"
    )
    found = run(tmp_path / "space", program, 0)
    assert found["names"] == ["collector.example.com"]
    assert found["files"] == ["home/left"]
