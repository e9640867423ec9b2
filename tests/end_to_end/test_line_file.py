"""The example's line.yaml, rendered and deployed: the press on a bench."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgeloop_tools.config import difference, load
from edgeloop_tools.config.line import Line
from edgeloop_tools.core.builtin import RECIPES, STREAM_MANAGER
from edgeloop_tools.demo.plan import ANOMALY, CAMERA, INGEST, MODELS, PROFILES, UMBRELLA, UPLOAD

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / "scripts" / "edgeloop_tools" / "config" / "examples" / "press"
FIVE = (INGEST, ANOMALY, CAMERA, MODELS, UPLOAD)
WITHOUT_PLC = f"""
runtime: {{profiles: {" ".join(PROFILES)}}}
sources:
  press7_plc:
    type: process
    url: null
    poll: null
    tags: null
    writes: null
    command: |
      python3 -c '
      import os, struct, time
      while True:
          os.write(1, struct.pack("<2d", 40.0, 120.0 + time.time() % 1))
          time.sleep(0.1)'
    rate: 10 Hz
    dtype: <f8
    channels: {{oil_temp: Cel, oil_pressure: bar}}
monitors:
  press7_bearing: {{when: null, per: null}}
  press7_hydraulics: {{when: null, channels: oil_temp oil_pressure}}
capture: {{press7_plc: null}}
"""
"""No Modbus either: the environment is that of the other tests."""


@dataclass(frozen=True)
class Deployed:
    """What `running` deploys."""

    line: Line

    @property
    def roots(self) -> dict[str, str]:
        umbrella = {UMBRELLA: self.line.versions[INGEST], STREAM_MANAGER: str(RECIPES[STREAM_MANAGER].version)}
        return {**self.line.versions, **umbrella}

    def merge(self) -> dict[str, Any]:
        return self.line.components()


@pytest.mark.parametrize("nucleus", ["classic", "lite"])
def test_the_press_runs_on_a_bench(nucleus: str, running: Any, until: Callable[..., None], tmp_path: Path) -> None:
    over = tmp_path / "over.yaml"
    over.write_text(WITHOUT_PLC)
    line = load(EXAMPLE / "line.yaml", [EXAMPLE / "overlays" / "bench.yaml", over])
    with running(nucleus, Deployed(line)) as deployed:
        health = deployed.recording.health
        until(lambda: set(FIVE) <= set(health), 60, "a word of each component")
        states = {name: status.state for name, status in deployed.poll().items()}
        assert {states[name] for name in FIVE} == {"RUNNING"}
        announced = deployed.recording.announced
        until(lambda: {"press7_vib", "press7_plc"} <= {stream for stream, _ in list(announced)}, 30, "both streams")
        said = [problem.line for name in FIVE for problem in health[name].problems if "config" in problem.key]
        assert said == []

        over.write_text(WITHOUT_PLC + "rules: null\ncameras: {gate7: {deadline: 1 s}}\n")
        new = load(EXAMPLE / "line.yaml", [EXAMPLE / "overlays" / "bench.yaml", over])
        updates = difference(line, new)
        assert set(updates) == {ANOMALY, CAMERA}
        before = deployed.core.component(INGEST).pid
        deployed.core.wait(
            deployed.core.deploy(
                merge={name: update.merge for name, update in updates.items()},
                reset={name: update.reset for name, update in updates.items()},
            ),
            timeout=60,
        )
        assert deployed.core.component(ANOMALY).configuration["rules"] == {}
        assert deployed.core.component(CAMERA).configuration["cameras"]["gate7"]["deadline"] == "1 s"
        assert deployed.core.component(INGEST).pid == before
