"""The README's first sensor: its files as they stand, its commands as they stand, on a core of its own."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACE = "/tmp/first"
LIST = "./scripts/edgeloop alarm list --json"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, because of the core's socket; stands for the page's."""
    made = Path(tempfile.mkdtemp(prefix="first-"))
    made.chmod(0o755)
    yield made
    environ = os.environ | {"EDGELOOP_CORE_ROOT": str(made / "core")}
    subprocess.run([ROOT / "scripts" / "edgeloop", "core", "stop"], env=environ, capture_output=True, check=False)
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_page_s_first_sensor(folder: Path, until: Callable[..., None]) -> None:
    page = (ROOT / "README.md").read_text()
    section = page[page.index("## Your first sensor") :].split("\n## ")[0]
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", section, re.S | re.M)
    assert [language for language, _ in blocks] == ["python", "yaml", "sh", "sh"]
    program, line, deploys, answers = (text for _, text in blocks)
    (folder / "cpu.py").write_text(program.replace("/proc/stat", str(folder / "stat")))
    (folder / "line.yaml").write_text(line.replace(PLACE, str(folder)))
    environ = os.environ | {"EDGELOOP_CORE_ROOT": str(folder / "core"), "EDGELOOP_VENV": sys.prefix}
    (folder / "scripts").symlink_to(ROOT / "scripts")

    def run(text: str) -> str:
        done = subprocess.run(command(text), cwd=folder, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def command(text: str) -> list[str]:
        return ["/bin/sh", "-e", "-c", text.replace(PLACE, str(folder))]

    busy = threading.Event()
    ended = threading.Event()
    threading.Thread(target=_computer, args=(folder / "stat", busy, ended), daemon=True).start()
    seen = folder / "said"
    with seen.open("w") as said:
        watching = subprocess.Popen(
            command(deploys), cwd=folder, env=environ, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        until(lambda: watching.poll() is not None or '"message":"configuration"' in seen.read_text(), 600)
        assert watching.poll() is None, seen.read_text()
        assert "SUCCEEDED" in seen.read_text()
        time.sleep(40)
        busy.set()
        until(lambda: run(LIST), 120, "an alarm")
        id_ = json.loads(run(LIST).splitlines()[0])["id"]
    finally:
        ended.set()
        os.killpg(watching.pid, signal.SIGINT)
        watching.wait(120)
    assert id_ in run(answers.replace(" ID ", f" {id_} "))
    assert (folder / "cpu.parquet").stat().st_size > 1000


def _computer(stat: Path, busy: threading.Event, ended: threading.Event) -> None:
    """A /proc/stat of its own, for the machine of the tests may be busy all the time: a tenth busy, then all of it."""
    rng = random.Random(5)
    user, idle = 1000, 9000
    while not ended.wait(0.02):
        share = 100 if busy.is_set() else rng.gauss(10, 1)
        user, idle = user + round(10 * share), idle + round(10 * (100 - share))
        new = stat.with_suffix(".new")
        new.write_text(f"cpu  {user} 0 0 {idle} 0 0 0 0 0 0\n")
        new.chmod(0o644)
        new.replace(stat)
