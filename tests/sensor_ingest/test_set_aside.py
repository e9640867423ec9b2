"""What a sensor's side dies of: an action, a message that its broker sends again, a recording."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HEAD = """
import os, signal, sys, threading, time
from pathlib import Path

work, told = Path(sys.argv[1]), lambda line: print("told", line, flush=True)

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

class Outlet:
    id, state, stop, period = "s", work / "sources" / "s.json", threading.Event(), 0.05
    def problem(self, line, part=""): print("told", line, flush=True)
    def count(self, name, n=1): print("count", name, n, flush=True)
    def __getattr__(self, name): return lambda *_, **__: True

Outlet.state.parent.mkdir(exist_ok=True)
"""
ACTION = """
from sensor_ingest.actions import Actions
from edgeloop.config.quantities import Duration
from sensor_ingest.sources.base import Target

class Drive:
    connections = 1
    def targets(self): return {"speed": Target(range="0..9", armed=True, every=Duration("0 s"))}
    def write(self, target, value): die() if value == 7 else print("written", value, flush=True)

import edgeloop.clock as clock
actions = Actions(work / "actions.jsonl", lambda id: Drive(), print, told=told)
for value in (1, 7, 2):
    said = actions.execute("plc", b'{"id":"%x","target":"speed","value":%d,"issued":%d,"armed":true}' % (
        time.time_ns(), value, clock.now()))
    print(said["outcome"], said["value"], said["reason"], flush=True)
"""
PAYLOAD = """
from sensor_ingest import actions as module
from sensor_ingest.actions import Actions
decode = module.document
module.document = lambda payload, *a, **k: die() if b"poison" in payload else decode(payload, *a, **k)
actions = Actions(work / "actions.jsonl", lambda id: None, print, told=told)
for payload in (b"{}", b"poison", b"[]"):
    print(actions.execute("plc", payload)["reason"], flush=True)
"""
MESSAGE = """
from types import SimpleNamespace
from sensor_ingest.sources.mqtt import Configuration, Mqtt
from sensor_ingest.payload.topics import Topic
source = Mqtt(Configuration(broker="mqtt://here", topics={"t": Topic(filter="t", channels={"x": ""})}), Outlet())
from edgeloop.supervise.handling import Handling
source._hand = Handling.of_source(source.outlet, "a message")
taken = []
source._take = lambda message, arrival: die() if message.payload == b"poison" else taken.append(message.payload)
for payload in (b"1", b"poison", b"2"):
    source._handle(SimpleNamespace(topic="t", payload=payload, qos=1), 0)
print("taken", taken, flush=True)
"""
RECORDING = """
from sensor_ingest.sources import replay
(work / "r.csv").write_text("time,x\\n1,2\\n") if not (work / "r.csv").exists() else None
replay.Table = die
source = replay.Replay(replay.Configuration(path=str(work / "r.csv")), Outlet())
try:
    source.setup()
except Exception as error:
    print("error", error, flush=True)
"""
CASES = {
    "an action": (ACTION, "plc.speed=7.0", b'"speed"', "refused 7.0 the process died with it in hand"),
    "an action's bytes": (PAYLOAD, "plc", b"poison", "the process died with it in hand"),
    "a message": (MESSAGE, "t", b"poison", "taken [b'1', b'2']"),
    "a recording": (RECORDING, "r.csv", b"time,x", "error the recording is set aside"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_two_processes_died_of_is_set_aside_and_the_rest_is_handled(case: str, tmp_path: Path) -> None:
    script, source, data, line = CASES[case]

    def run() -> Any:
        return subprocess.run(
            [sys.executable, "-c", HEAD + script, str(tmp_path)], capture_output=True, text=True, check=False
        )

    for _ in range(2):
        assert run().returncode == -signal.SIGKILL
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert line in done.stdout
    assert "told" in done.stdout
    (about,) = (tmp_path / "set-aside").glob("*.json")
    assert json.loads(about.read_text())["from"].endswith(source)
    assert data in about.with_suffix(".input").read_bytes()
    assert run().returncode == 0
