"""Every component starts on a disk that is full or read-only: it runs, says so, and goes on once there is room."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeloop.bus import Bus

COMPONENTS = (
    "sensor_ingest", "anomaly_inference", "camera_inference", "model_update", "stream_upload", "video_upload",
    "console",
)  # fmt: skip
NAMES = {package: "io.edgeloop." + "".join(word.title() for word in package.split("_")) for package in COMPONENTS}
ALARM = (
    b'{"id":"a1","monitor":"m","asset":"press1","kind":"process","severity":"low","state":"raised","text":"t",'
    b'"raised_at":5,"time":9,"sample_time":5,"cause":{"stream":"s","epoch":1,"index":2}}\n'
)


class Disk:
    """A small disk of its own, as the root of a nucleus."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fill(self) -> None:
        with (self.root / "filler").open("wb", buffering=0) as file:
            while True:
                try:
                    if file.write(bytes(4096)) < 4096:
                        return
                except OSError:
                    return

    def empty(self) -> None:
        (self.root / "filler").unlink()

    def remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.root)], check=True, capture_output=True)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """At a short path: names of sockets have 107 bytes (unix(7))."""
    root = Path(tempfile.mkdtemp(prefix="edgeloop-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(root)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        root.rmdir()
        pytest.skip("this machine allows no mounts")
    yield Disk(root)
    subprocess.run(["umount", "-l", str(root)], check=False)
    root.rmdir()


def start(package: str, root: Path, nucleus: Any, token: str) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ, "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(nucleus.socket), "SVCUID": token,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }  # fmt: skip
    command = [sys.executable, "-u", "-m", package, "--root", str(root)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/")


@pytest.mark.parametrize("how", ["full", "read-only"])
@pytest.mark.parametrize("package", COMPONENTS)
def test_every_component_starts_on_a_disk_that_takes_nothing(
    package: str, how: str, disk: Disk, stopped_nucleus: Any, make_bus: Any, problems: Any
) -> None:
    name = NAMES[package]
    token = stopped_nucleus.add("component", name)
    stopped_nucleus.add("token")
    stopped_nucleus.start()
    work = disk.root / "work" / name
    work.mkdir(parents=True)
    (work / "alarms.jsonl").write_bytes(ALARM)
    if how == "full":
        disk.fill()
    else:
        disk.remount("ro")
    bus: Bus = make_bus()
    heard: list[dict[str, Any]] = []
    bus.subscribe("edgeloop/health/#", lambda topic, payload: heard.append(json.loads(payload)))
    process = start(package, disk.root, stopped_nucleus, token)
    try:
        until(lambda: heard or process.poll() is not None)
        assert process.poll() is None, process.stdout.read().decode() if process.stdout else ""
        if how == "read-only":
            until(lambda: any("setup" in str(document["problems"]) for document in heard))
            disk.remount("rw")
        else:
            disk.empty()
        until(lambda: "setup" not in {p["key"] for p in heard[-1]["problems"]}, 240)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def until(condition: Any, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.02)
