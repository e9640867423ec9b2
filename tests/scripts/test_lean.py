"""The tools do with what their own lock holds: what is heavier comes with the command that needs it."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from edgeloop_tools import extras
from requirements import MEGABYTE, Lock, canonical

ROOT = Path(__file__).resolve().parents[2]
PRESS = "scripts/edgeloop_tools/config/examples/press/line.yaml"
BARE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError("not in the tools' lock: " + name, name=name)

sys.meta_path.insert(0, Absent())
from importlib import util
found = util.find_spec
util.find_spec = lambda name, package=None: None if name.partition(".")[0] in {absent!r} else found(name, package)
from edgeloop_tools.cli import main
sys.exit(main({words!r}))
"""


def lock(name: str) -> Lock:
    return Lock.merge((extras.LOCKS / f"{name}.txt").read_text())


def absent() -> list[str]:
    """Modules of this environment that one made from the tools' lock lacks."""
    held = set(lock("tools").names())
    return sorted(
        module
        for module, names in metadata.packages_distributions().items()
        if not held.intersection(map(canonical, names)) and re.fullmatch(r"[A-Za-z]\w*", module)
    )


def test_the_first_use_takes_little_of_the_disk() -> None:
    assert lock("tools").disk <= 220 * MEGABYTE
    assert lock("tools").disk + lock("plots").disk <= 305 * MEGABYTE, "demo, whose components bring what else it reads"


@pytest.mark.parametrize("words", [
    ["config", "check", PRESS],
    ["lint"],
    ["backtest", "--input", "{tmp}/in", "--output", "{tmp}/out"],
    ["status", "--help"],
], ids=lambda words: words[0])  # fmt: skip
def test_it_runs_with_the_tools_lock_alone(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    rows = "".join(f"2026-03-01T00:{n // 60:02d}:{n % 60:02d}Z,{n % 7}\n" for n in range(900))
    (tmp_path / "in" / "a.csv").write_text(f"time,p\n{rows}")
    words = [word.replace("{tmp}", str(tmp_path)) for word in words]
    missing = absent()
    assert {"pyarrow", "onnxruntime", "cv2", "pytest"} & set(missing)
    code = BARE.format(absent=missing, words=words)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
