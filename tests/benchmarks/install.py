"""What the Runtime's install takes of a device: seconds, memory, flash; long, needs the package index and root.

Each set of profiles on a file system of its own (a tmpfs, so that every byte on it is counted): first install, growth
from core, an upgrade in which one core package changed, the way back with no network. Then SIGKILL at random moments,
200 pictures that wait while a line with a camera is installed, and the time to the first sample of a line of core only.
With EDGELOOP_PARTS=<file> what was measured is kept there, and a run that was cut short goes on from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import environment
import packages
from edgeloop import __version__
from edgeloop.errors import EdgeloopError
from edgeloop.sim.conveyor import Camera, Conveyor
from edgeloop_tools.bench.suite import show
from edgeloop_tools.demo.plan import ANOMALY, CAMERA, INGEST, RUNTIME
from edgeloop_tools.demo.run import CHECKOUT
from edgeloop_tools.harness.line import Line
from edgeloop_tools.harness.processes import pss_bytes, tree
from requirements import Lock

LONG = True
SETS = (
    "core", "core mqtt", "core protocols", "core vision", "core protocols vision upload", "core video", "core console",
)  # fmt: skip
CHANGED = "msgspec"
"""The core package that an older version of the Runtime has in another version."""
KILLS, PICTURES = 30, 200
MB = 1e6
SIZE = 4 << 30
"""Bytes that the file system could hold."""
PATIENCE = 600.0


@dataclass(slots=True)
class Taken:
    """Of one step. Bytes on the file system: before, at the peak, after; memory: the peak of PSS of all processes."""

    seconds: float = 0.0
    before: int = 0
    peak: int = 0
    after: int = 0
    memory: int = 0

    @property
    def new(self) -> int:
        return self.after - self.before

    @property
    def over(self) -> float:
        """MB above what stays and 1.1 of what is new."""
        return (self.peak - self.before - 1.1 * max(self.new, 0)) / MB

    def figures(self) -> dict[str, Any]:
        return {
            "seconds": round(self.seconds, 1), "peak_mb": round(self.peak / MB, 1),
            "lasting_mb": round(self.after / MB, 1), "new_mb": round(self.new / MB, 1),
            "memory_mb": round(self.memory / MB),
        }  # fmt: skip


@contextmanager
def disk() -> Iterator[Path]:
    """An empty file system, everybody's."""
    if os.geteuid() != 0:
        raise EdgeloopError("a file system of its own needs root", where="bench install",
                            mend="run it as root, or in `unshare --user --map-root-user --mount`")  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="edgeloop-install-"))
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0777", "tmpfs", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
    finally:
        folder.rmdir()


def used(folder: Path) -> int:
    at = os.statvfs(folder)
    return (at.f_blocks - at.f_bfree) * at.f_frsize


class Watch:
    """While it is entered: the peaks of a file system and of a process with its children."""

    def __init__(self, folder: Path, pid: int) -> None:
        self._folder, self._pid, self._end = folder, pid, threading.Event()
        self.peak = self.memory = 0
        self._threads = [threading.Thread(target=self._space), threading.Thread(target=self._memory)]

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _space(self) -> None:
        while not self._end.wait(0.005):
            self.peak = max(self.peak, used(self._folder))

    def _memory(self) -> None:
        while not self._end.wait(0.1):
            self.memory = max(self.memory, sum(map(pss_bytes, tree([self._pid]))))


class Versions:
    """The Runtime as it is, and older ones that differ from it in one core package."""

    def __init__(self, folder: Path, older: int) -> None:
        source = Path(environment.__file__).parent
        now = re.search(rf"^{CHANGED}==(\S+)", (source / "locks" / "core.txt").read_text(), re.M)
        assert now is not None
        self.programs = [source]
        self.names = [now[1]]
        for _ in range(older):
            wheel = self._wheel(folder / "wheels", f"{CHANGED}<{self.names[-1]}")
            self.names.append(wheel.name.split("-")[1])
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            copy = folder / f"runtime-{self.names[-1]}"
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
            pattern = re.compile(rf"^{CHANGED}==\S+ \\\n(?:    --hash=\S+(?: \\)?\n)+", re.M)
            for path in (copy / "locks").glob("*.txt"):
                line = f"{CHANGED}=={self.names[-1]} \\\n    --hash=sha256:{digest}\n"
                path.write_text(pattern.sub(lambda _, line=line: line, path.read_text()))  # type: ignore[misc]
            self.programs.append(copy)

    @staticmethod
    def _wheel(folder: Path, requirement: str) -> Path:
        before = set(folder.glob("*.whl"))
        download(requirement, "-d", folder)
        return (set(folder.glob("*.whl")) - before).pop()

    def wheelhouse(self, folder: Path) -> Path:
        """All their core wheels."""
        for program in self.programs:
            lock = folder / "core.txt"
            lock.write_text(Lock.merge((program / "locks" / "core.txt").read_text()).text)
            download("--require-hashes", "-r", lock, "-d", folder / "wheels")
        return folder / "wheels"


def download(*words: str | Path) -> None:
    command = [*packages.pip_command(Path(sys.executable)), "download", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, "--no-deps", "--only-binary", ":all:", *words], check=True)


def install(program: Path, root: Path, profiles: str, *words: str | Path, before: Sequence[str] = ()) -> list[str]:
    command = [sys.executable, "-S", "-B", program / "__main__.py", "install", "--root", root, *words]
    return [*before, *map(str, command), "--profiles", *profiles.split()]


def measured(folder: Path, command: Sequence[str]) -> Taken:
    taken = Taken(before=used(folder))
    environ = {k: v for k, v in os.environ.items() if k not in ("SVCUID", "PYTHONPATH")}
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)
    with Watch(folder, process.pid) as watch:
        _, said = process.communicate(timeout=PATIENCE)
    taken.seconds = time.monotonic() - started
    if process.returncode:
        raise EdgeloopError("the install failed", why=said.strip().splitlines()[-1])
    taken.after, taken.memory = used(folder), watch.memory
    taken.peak = max(watch.peak, taken.after)
    return taken


def of_a_set(versions: Versions, profiles: str) -> dict[str, Taken]:
    new, old = versions.programs[:2]
    steps: dict[str, Taken] = {}
    with disk() as folder:
        steps["first"] = measured(folder, install(old, folder, profiles))
        steps["upgrade"] = measured(folder, install(new, folder, profiles))
        steps["back"] = measured(folder, install(old, folder, profiles, before=["unshare", "--net"]))
        serving(folder, profiles)
    if profiles != "core":
        with disk() as folder:
            measured(folder, install(new, folder, "core"))
            steps["grows"] = measured(folder, install(new, folder, profiles))
            serving(folder, profiles)
    return steps


def serving(root: Path, profiles: str) -> None:
    """Raises where what serves is not whole."""
    import locks

    lock = Lock.merge(*map(locks.read, profiles.split()))
    venv = root / "work" / RUNTIME / "venv"
    code = "".join(f"import {module}\n" for module in lock.imports)
    subprocess.run([venv / "bin" / "python", "-I", "-c", code], check=True, capture_output=True)


def killed(versions: Versions, folder: Path) -> dict[str, Any]:
    """Installs and upgrades of core, ended by SIGKILL after a random time; every tenth begins with nothing."""
    dice = random.Random(21)
    house = versions.wheelhouse(folder)
    counts = {"kills": 0, "while_none_served": 0, "served": 0, "not_whole": 0}
    with disk() as root:
        venv = root / "work" / RUNTIME / "venv"
        first, upgrade = (
            measured(root, install(program, root, "core", "--wheelhouse", house)).seconds
            for program in versions.programs[:2]
        )
        turn = -1
        while counts["kills"] < KILLS:
            turn += 1
            if turn % 10 == 0:
                shutil.rmtree(root / "work", ignore_errors=True)
            before = venv.exists()
            program = versions.programs[turn % len(versions.programs)]
            command = install(program, root, "core", "--wheelhouse", house)
            process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
            time.sleep(dice.uniform(0.03, 1.0) * (upgrade if before else first))
            if process.poll() is not None:
                continue
            counts["kills"] += 1
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            try:
                if venv.exists():
                    serving(root, "core")
                    counts["served"] += 1
                else:
                    counts["while_none_served"] += 1
                    counts["not_whole"] += before
            except subprocess.CalledProcessError:
                counts["not_whole"] += 1
        last = measured(root, install(versions.programs[0], root, "core", "--wheelhouse", house))
        serving(root, "core")
    seconds = {"first_s": first, "upgrade_s": upgrade, "after_the_last_s": last.seconds}
    return {**counts, **{name: round(value, 1) for name, value in seconds.items()}}


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    """RGB, rows × columns × 3."""
    rows, columns = pixels.shape[:2]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels.reshape(rows, -1)], axis=1)
    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    data = zlib.compress(lines.tobytes(), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def first_sample() -> dict[str, Any]:
    """A line of core alone, deployed to a nucleus with nothing on it."""
    merge = {RUNTIME: {"profiles": "core"}, INGEST: {"sources": {"machine": {"type": "simulator", "seed": 1}}},
             ANOMALY: {"monitors": {"m": {"asset": "machine", "input": "machine_slow"}}}}  # fmt: skip
    with disk() as folder, Line(folder / "core") as line:
        started = time.monotonic()
        line.deploy(CHECKOUT / "recipes", CHECKOUT / "artifacts", dict.fromkeys(merge, __version__), merge)
        until(lambda: bool(line.recording.announced), line)
        return {"seconds": round(time.monotonic() - started, 1)}


def pictures() -> dict[str, Any]:
    """A line with a camera in front of which pictures wait, deployed to a nucleus with nothing on it."""
    eye = Camera(Conveyor("gate", 1, defective=0.0))
    with disk() as folder:
        images = folder / "images"
        images.mkdir()
        for number in range(PICTURES):
            (images / f"{number:03d}.png").write_bytes(png(eye.image(number)))
        camera = {"uri": f"folder:{images}?poll=50 ms", "policy": "every", "deadline": "1 min",
                  "model": "visual_inspection"}  # fmt: skip
        merge = {RUNTIME: {"profiles": "core vision"}, CAMERA: {"cameras": {"gate": camera}}}
        for path in (images, *images.iterdir()):
            path.chmod(0o777)
        with Line(folder / "core") as line:
            started = time.monotonic()
            line.deploy(CHECKOUT / "recipes", CHECKOUT / "artifacts", dict.fromkeys(merge, __version__), merge)
            seen = line.recording.inspections
            until(lambda: bool(seen), line)
            first = time.monotonic() - started
            until(lambda: len({i.inspection.part for i in seen}) >= PICTURES, line)
            verdicts = {i.inspection.part: i.inspection.verdict for i in seen}
    judged = sum(verdict != "unknown" for verdict in verdicts.values())
    return {"waiting": PICTURES, "judged": judged, "unknown": len(verdicts) - judged,
            "lost": PICTURES - judged, "first_verdict_s": round(first, 1)}  # fmt: skip


def until(there: Any, line: Line) -> None:
    deadline = time.monotonic() + PATIENCE
    while not there():
        if time.monotonic() > deadline:
            raise EdgeloopError("it does not come", where=str(line.root / "logs"))
        line.poll(measure=False)
        time.sleep(0.1)


def kept(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` gives, or what a run before gave."""
    file = Path(os.environ.get("EDGELOOP_PARTS") or os.devnull)
    there: dict[str, Any] = json.loads(file.read_text() or "{}") if file.is_file() else {}
    if name not in there:
        there[name] = make()
        if file != Path(os.devnull):
            file.write_text(json.dumps(there))
        print(show({name: there[name]}), flush=True)
    found: dict[str, Any] = there[name]
    return found


def run() -> dict[str, Any]:
    from edgeloop_tools.build import build

    build()
    folder = Path(tempfile.mkdtemp(prefix="edgeloop-install-"))
    try:
        versions = Versions(folder, 2)
        sets = {
            profiles: {
                name: Taken(**step)
                for name, step in kept(
                    profiles,
                    lambda p=profiles: {n: asdict(s) for n, s in of_a_set(versions, p).items()},  # type: ignore[misc]
                ).items()
            }
            for profiles in SETS
        }
        cuts = kept("killed", lambda: killed(versions, folder))
    finally:
        shutil.rmtree(folder)
    sample, waiting = kept("first sample", first_sample), kept("pictures", pictures)
    steps = [step for found in sets.values() for name, step in found.items() if name != "back"]
    goals = [
        {"goal": "peak beyond what stays and 1.1 of what is new, the worst step", "unit": "MB", "at_most": 0.0,
         "figure": round(max(step.over for step in steps), 2)},
        {"goal": "back without a network, the slowest", "unit": "s", "at_most": 2.0,
         "figure": round(max(found["back"].seconds for found in sets.values()), 2)},
        {"goal": f"of {PICTURES} waiting pictures lost", "at_most": 0, "figure": waiting["lost"]},
        {"goal": "first sample of a line of core alone", "unit": "s", "at_most": 20.0, "figure": sample["seconds"]},
        {"goal": f"of {KILLS} kills left nothing whole that served", "at_most": 0, "figure": cuts["not_whole"]},
    ]  # fmt: skip
    return {
        "goals": goals,
        "changed": f"{CHANGED} {versions.names[1]} → {versions.names[0]}",
        **{profiles: {name: step.figures() for name, step in found.items()} for profiles, found in sets.items()},
        "killed": cuts, "first_sample": sample, "pictures": waiting,
    }  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(show(run()) + "\n")
