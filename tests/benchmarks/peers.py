"""Beside Telegraf and fifty lines of Python, on the same messages: `python tests/benchmarks/peers.py`.

One broker; 8 channels as JSON by QoS 1, once a set a message, once a hundred; from time to time one channel is 8 σ
higher for a second. All contenders run at the same time: the whole product (SensorIngest and AnomalyInference, on a
local core) with a limit on the mean of each channel over a second and its alarms sent to the broker; a program with
paho, CSV and an fsync a second that does the same; Telegraf where `TELEGRAF` names it or it is on the path. CPU is that
of the processes, children included. A peer that is absent is named; eKuiper is not run by this benchmark."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeloop import __version__
from edgeloop.errors import EdgeloopError
from edgeloop_tools.bench.suite import show
from edgeloop_tools.demo.plan import ANOMALY, INGEST, RUNTIME
from edgeloop_tools.demo.run import CHECKOUT, demo_root
from edgeloop_tools.harness.line import Line
from edgeloop_tools.harness.processes import Meter

CHANNELS = 8
CASES = {"one set a message": (1000, 1, 40.0), "100 sets a message": (10_000, 100, 25.0)}
"""Sets a second, sets a message, s."""
HEIGHT, LIMIT, EVERY, HOLD = 8.0, 2.0, 4.0, 1.0
BEFORE = 3.0
"""s before the first level."""
INSTALL = 900.0
LATE = 3.9
"""s after a level within which an alarm is about it."""
GOALS = {"one set a message": {"plain Python": 1.0, "Telegraf": 2.0}, "100 sets a message": {"Telegraf": 1.0}}
"""CPU over that of a peer."""

PLAIN = """
import json, os, sys, threading, time
import paho.mqtt.client as mqtt
port, path = int(sys.argv[1]), sys.argv[2]
names = [f"c{k}" for k in range(8)]
lock, rows = threading.Lock(), []
def on_connect(client, *rest):
    client.subscribe("peers/data", qos=1)
def on_message(client, userdata, message):
    document = json.loads(message.payload)
    with lock:
        rows.extend(document if isinstance(document, list) else [document])
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="plain", clean_session=False)
client.on_connect, client.on_message = on_connect, on_message
client.connect("127.0.0.1", port)
client.loop_start()
due = time.time()
with open(path, "a") as file:
    while True:
        due += 1
        time.sleep(max(0, due - time.time()))
        with lock:
            now, rows = rows, []
        if not now:
            continue
        file.writelines(f"{r['t']},{','.join(str(r[n]) for n in names)}\\n" for r in now)
        file.flush()
        os.fsync(file.fileno())
        means = {n: sum(r[n] for r in now) / len(now) for n in names}
        if any(v > LIMIT for v in means.values()):
            client.publish("peers/alarms/plain", json.dumps(means), qos=1)
"""

TELEGRAF = """
[agent]
  interval = "1s"
  flush_interval = "1s"
  metric_buffer_limit = 1000000
  omit_hostname = true
[[inputs.mqtt_consumer]]
  servers = ["tcp://127.0.0.1:{port}"]
  topics = ["peers/data"]
  qos = 1
  persistent_session = true
  client_id = "telegraf"
  data_format = "json_v2"
  topic_tag = ""
  [[inputs.mqtt_consumer.json_v2]]
    [[inputs.mqtt_consumer.json_v2.object]]
      path = "@this"
      timestamp_key = "t"
      timestamp_format = "unix_us"
[[outputs.file]]
  files = ["{data}"]
  data_format = "influx"
"""


def run() -> dict[str, Any]:
    """CPU-seconds a million values, bytes stored a value, levels found and false, by case and contender."""
    from edgeloop_tools.build import build

    build()
    telegraf = os.environ.get("TELEGRAF") or shutil.which("telegraf")
    folder = Path(tempfile.mkdtemp(prefix="edgeloop-"))
    folder.chmod(0o777)
    cases: dict[str, Any] = {}
    try:
        with _Broker(folder) as broker, Line(demo_root("classic")) as line:
            for name, (rate, per, seconds) in CASES.items():
                cases[name] = _case(line, broker, folder / str(per), telegraf, rate, per, seconds)
    finally:
        shutil.rmtree(folder)
    versions = {"mosquitto": _version("mosquitto", "-h"), "paho": _paho(), "Telegraf": _version(telegraf, "--version")}
    absent = [name for name, there in (("Telegraf", telegraf), ("eKuiper", "")) if not there]
    goals: list[dict[str, Any]] = []
    for name, found in cases.items():
        ours = found["Edgeloop"]
        for peer, most in GOALS[name].items():
            if peer in found:
                goals.append({"goal": f"CPU, {name}, over {peer}", "at_most": most,
                              "figure": round(ours["s_per_million"] / found[peer]["s_per_million"], 2)})  # fmt: skip
        goals.append({"goal": f"levels not found, {name}", "at_most": 0, "figure": ours["levels"] - ours["found"]})
        goals.append({"goal": f"false alarms, {name}", "at_most": 0, "figure": ours["false"]})
    stored = cases["one set a message"]["Edgeloop"]["bytes_a_value"]
    goals.append({"goal": "bytes stored a value, one set a message", "at_most": 10, "figure": stored})
    return {"goals": goals, **cases, "versions": versions, "absent": ", ".join(absent) or "none"}


class _Broker:
    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        if not Path(program).exists():
            raise EdgeloopError("the benchmark needs a broker", mend="install mosquitto")
        path = folder / "mosquitto.conf"
        path.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000\nlog_dest none\n"
        )
        self._process = subprocess.Popen([program, "-c", str(path)], stderr=subprocess.DEVNULL)

    def __enter__(self) -> _Broker:
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)


class _Machine:
    """Publishes sets with their times, and remembers when which channel was higher."""

    def __init__(self, port: int, rate: int, per: int, seconds: float) -> None:
        import paho.mqtt.client as mqtt

        self._rate, self._per, self._seconds = rate, per, seconds
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"machine-{time.time_ns()}")
        self._client.max_inflight_messages_set(0)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.onsets: list[float] = []
        self.sent = 0

    def play(self) -> None:
        rng = np.random.default_rng(1)
        noise = np.round(rng.normal(0, 1, (4096, CHANNELS)), 4)
        parts = [[f'"c{c}":{v}' for c, v in enumerate(row)] for row in noise.tolist()]
        high = [[f'"c{c}":{round(v + HEIGHT, 4)}' for c, v in enumerate(row)] for row in noise.tolist()]
        count = int(self._rate * self._seconds) // self._per * self._per
        starts = [int((BEFORE + k * EVERY) * self._rate) for k in range(int((self._seconds - BEFORE - 3) / EVERY) + 1)]
        began = time.time()
        self.onsets = [began + start / self._rate for start in starts]
        first = int(began * 1e6)
        for at in range(0, count, self._per):
            bodies = []
            for i in range(at, at + self._per):
                k = int((i / self._rate - BEFORE) // EVERY)
                up = 0 <= k < len(starts) and i - starts[k] < HOLD * self._rate
                row = parts[i % 4096]
                if up:
                    row = [*row]
                    row[k % CHANNELS] = high[i % 4096][k % CHANNELS]
                bodies.append(f'{{"t":{first + i * 1_000_000 // self._rate},{",".join(row)}}}')
            self._client.publish("peers/data", bodies[0] if self._per == 1 else f"[{','.join(bodies)}]", qos=1)
            self.sent += self._per
            wait = began + (at + self._per) / self._rate - time.time()
            if wait > 0:
                time.sleep(wait)
        time.sleep(1)
        self._client.disconnect()
        self._client.loop_stop()


class _Listener:
    """When each contender said that something is high."""

    def __init__(self, port: int) -> None:
        import paho.mqtt.client as mqtt

        self.said: dict[str, list[float]] = {}
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"listener-{time.time_ns()}")
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("peers/alarms/#", qos=1)
        self._client.loop_start()

    def _heard(self, client: Any, userdata: Any, message: Any) -> None:
        document = json.loads(message.payload)
        if document.get("state", "raised") == "raised":
            self.said.setdefault(message.topic.rpartition("/")[2], []).append(time.time())

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _case(
    line: Line, broker: _Broker, folder: Path, telegraf: str | None, rate: int, per: int, seconds: float
) -> dict[str, Any]:
    folder.mkdir(mode=0o777)
    programs: dict[str, subprocess.Popen[bytes]] = {}
    plain = folder / "plain.py"
    plain.write_text(PLAIN.replace("LIMIT", str(LIMIT)))
    files = {"plain Python": folder / "plain.csv", "Telegraf": folder / "telegraf.lp"}
    listener = _Listener(broker.port)
    try:
        _deploy(line, broker.port, rate)
        programs["plain Python"] = subprocess.Popen(
            [sys.executable, str(plain), str(broker.port), str(files["plain Python"])]
        )
        if telegraf:
            path = folder / "telegraf.conf"
            path.write_text(TELEGRAF.format(port=broker.port, data=files["Telegraf"]))
            programs["Telegraf"] = subprocess.Popen([telegraf, "--config", str(path)], stderr=subprocess.DEVNULL)
        time.sleep(3)
        before = _size(line.journal)
        meter = Meter()
        machine = _Machine(broker.port, rate, per, seconds)
        playing = threading.Thread(target=machine.play, daemon=True)
        playing.start()
        while playing.is_alive():
            for status in line.poll().values():
                if status.name in (INGEST, ANOMALY) and status.pids:
                    meter.sample(status.name, status.pids, time.monotonic())
            for name, program in programs.items():
                meter.sample(name, [program.pid], time.monotonic())
            time.sleep(0.5)
        time.sleep(2)
        stored = _size(line.journal) - before
    finally:
        listener.close()
        for program in programs.values():
            program.terminate()
            program.wait(15)
    values = machine.sent * CHANNELS
    used = {name: usage.cpu for name, usage in meter.usage.items()}
    ours = used.get(INGEST, 0.0) + used.get(ANOMALY, 0.0)
    result = {"Edgeloop": _row(ours, values, stored, listener.said.get("edgeloop", []), machine.onsets)}
    result["Edgeloop"]["ingest_s_per_million"] = round(used.get(INGEST, 0.0) / values * 1e6, 2)
    for name in programs:
        said = listener.said.get("plain", []) if name == "plain Python" else None
        result[name] = _row(used[name], values, files[name].stat().st_size, said, machine.onsets)
    return result


def _row(cpu: float, values: int, stored: int, said: list[float] | None, onsets: list[float]) -> dict[str, Any]:
    """said: s of alarms; None: it was not asked to."""
    row: dict[str, Any] = {
        "s_per_million": round(cpu / values * 1e6, 2),
        "bytes_a_value": round(stored / values, 1),
        "levels": len(onsets),
    }
    if said is not None:
        row["found"] = sum(any(0 < at - onset <= LATE for at in said) for onset in onsets)
        row["false"] = sum(not any(0 < at - onset <= LATE for onset in onsets) for at in said)
    return row


def _deploy(line: Line, port: int, rate: int) -> None:
    channels = {f"c{k}": f"c{k}" for k in range(CHANNELS)}
    source: dict[str, Any] = {
        "type": "mqtt", "broker": f"mqtt://127.0.0.1:{port}", "client": "edgeloop",
        "topics": {"data": {"filter": "peers/data", "time": "t", "rate": f"{rate} Hz", "channels": channels}},
        "alarms": "peers/alarms/edgeloop",
    }  # fmt: skip
    limits = {f"{name}_high": {"channel": f"w1.{name}", "high": LIMIT, "of": "mean 1 s"} for name in channels}
    alarms = {"group": "0 s", "most": 10_000, "chatter": 1000, "within": "1 s"}
    merge: dict[str, dict[str, Any]] = {
        RUNTIME: {"profiles": "core mqtt"},
        INGEST: {"sources": {"w1": source}},
        ANOMALY: {"limits": limits, "alarms": alarms},
    }
    roots = dict.fromkeys(merge, __version__)
    deployment = line.deploy(CHECKOUT / "recipes", CHECKOUT / "artifacts", roots, merge)
    line.core.wait(deployment, timeout=INSTALL)
    line.poll()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _version(program: str | None, option: str) -> str:
    if not program or not shutil.which(program):
        return "absent"
    said = subprocess.run([program, option], capture_output=True, text=True, check=False)
    return ((said.stdout or said.stderr).splitlines() or [""])[0][:60]


def _paho() -> str:
    import paho.mqtt

    return str(paho.mqtt.__version__)


def _shown(figures: Mapping[str, Any]) -> str:
    return show(figures)


if __name__ == "__main__":
    print(_shown(run()))
