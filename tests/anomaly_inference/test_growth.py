"""The memory of AnomalyInference over many ticks: a bus, a journal and its own loop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from anomaly_inference.declaration import DECLARATION, NAME
from edgeloop_tools.harness.growth import MOST, grown

SHORT, LONG = 4_000, 1_000_000


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
    nucleus = {
        "SVCUID": site._token(NAME, access_control=policy, configuration={"monitors": monitors}),
        "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(site.socket),
    }
    found = grown(Path(__file__).with_name("growth_process.py"), tmp_path, ticks, nucleus)
    assert found.count > ticks // 100, found.said
    assert found.end - found.quarter < MOST, f"{found.a_round(ticks):.0f} bytes a tick"
