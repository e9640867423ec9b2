"""The checkers a change must pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff() -> None:
    run("ruff", "check", "--quiet", "--output-format=concise", ".")


def test_types(tmp_path: Path) -> None:
    packages = sorted(str(path.parent.relative_to(ROOT)) for path in (ROOT / "components").glob("*/declaration.py"))
    run("mypy", "--cache-dir", str(tmp_path), *packages, "scripts")
