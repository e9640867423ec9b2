"""Wheels for devices without a network, as one file beside runtime.pyz."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from edgeloop import __version__
from edgeloop.errors import EdgeloopError
from edgeloop_tools.build.components import RUNTIME
from edgeloop_tools.build.lock import DEVICE, PROFILES, require
from edgeloop_tools.cli import ROOT

MACHINES = ("x86_64", "aarch64")
NEWEST_GLIBC = 36
"""Minor version of the newest glibc 2 whose wheels are taken; Debian 12 has it."""


def wheelhouse(profiles: Sequence[str], python: str, machine: str, out: Path) -> Path:
    """Downloads the wheels of the profiles (default: core) for Linux on `machine` and Python `python` (such as 3.12).

    Returns the file `wheelhouse.zip` in the layout of the artifacts below `out`.
    """
    known = [name for name, profile in PROFILES.items() if profile.folder == DEVICE]
    if unknown := sorted(set(profiles) - set(known)):
        raise EdgeloopError("no such profile", why=", ".join(unknown), mend=f"one of {', '.join(known)}")
    for tool in ("uv", "pip"):
        require(tool)
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "lock.txt")
        lines.write_text(_for_target(dict.fromkeys(["core", *profiles]), python, machine))
        wheels = Path(folder, "wheels")
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--require-hashes", "--only-binary", ":all:", "--implementation", "cp", "--python-version", python,
            *(word for tag in _platforms(machine) for word in ("--platform", tag)), "-r", str(lines), "-d", str(wheels),
        ]  # fmt: skip
        _done(command, "the wheels cannot be downloaded")
        target = out / RUNTIME / __version__ / "wheelhouse.zip"
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(".wheelhouse.zip.new")
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            for wheel in sorted(wheels.iterdir()):
                archive.write(wheel, wheel.name)
        partial.replace(target)
    return target


def _for_target(profiles: dict[str, None], python: str, machine: str) -> str:
    """The locks' lines that hold for one Python on one machine, without markers."""
    sources = [str(DEVICE / f"{name}.txt") for name in profiles]
    command = [
        sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-deps", "--generate-hashes", "--no-header",
        "--no-annotate", "--python-version", python, "--python-platform", f"{machine}-manylinux_2_{NEWEST_GLIBC}",
        "--only-binary", ":all:", *sources,
    ]  # fmt: skip
    return _done(command, "the locks do not hold for this target")


def _done(command: list[str], what: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise EdgeloopError(what, why=" ".join(lines[-2:]))
    return done.stdout


def _platforms(machine: str) -> list[str]:
    """
    >>> _platforms("x86_64")[:2], len(_platforms("aarch64"))
    (['manylinux_2_36_x86_64', 'manylinux_2_35_x86_64'], 33)
    """
    return [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, 4, -1)] + [f"manylinux2014_{machine}"]
