"""The memory of AnomalyInference over many ticks: a bus, a journal and its own loop."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from anomaly_inference.declaration import DECLARATION, NAME
from edgeloop import component

COMPONENTS = Path(component.__file__).parents[2]
SHORT, LONG = 4_000, 1_000_000
MOST = 4_096
"""kB: what leaks a kilobyte a tick is found in the short form."""


@pytest.mark.parametrize("ticks", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
@pytest.mark.timeout(7200)
def test_memory_does_not_grow_with_ticks(site: Any, tmp_path: Path, ticks: int) -> None:
    if ticks == LONG and "EDGELOOP_LONG" not in os.environ:
        pytest.skip("EDGELOOP_LONG is not set: a million ticks take half an hour")
    policy = {
        "aws.greengrass.ipc.pubsub": {
            "p": {"operations": ["aws.greengrass#PublishToTopic"], "resources": list(DECLARATION.publishes)},
            "s": {"operations": ["aws.greengrass#SubscribeToTopic"], "resources": list(DECLARATION.subscribes)},
        }
    }
    monitors = {"bearing": {"asset": "press1", "input": "vib", "learn": "10 s"}}
    environment = {
        **os.environ,
        "SVCUID": site._token(NAME, access_control=policy, configuration={"monitors": monitors}),
        "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(site.socket),
        "PYTHONPATH": os.pathsep.join(map(str, (COMPONENTS, COMPONENTS / "runtime"))),
    }
    script = Path(__file__).with_name("growth_process.py")
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(ticks)], env=environment, text=True, capture_output=True
    )
    quarter, end, results = (int(line.split()[1]) for line in run.stdout.splitlines() if line.startswith("growth"))
    assert results > ticks // 100, run.stderr[-2000:]
    assert end - quarter < MOST, f"{(end - quarter) * 1024 / (0.75 * ticks):.0f} bytes a tick"
