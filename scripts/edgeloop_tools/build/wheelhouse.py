"""Wheels for devices without a network, as one file beside runtime.pyz."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import packages
from edgeloop import __version__
from edgeloop.errors import EdgeloopError
from edgeloop_tools.build.components import RUNTIME
from edgeloop_tools.build.lock import DEVICE, PROFILES, PYTHONS, target
from edgeloop_tools.cli import ROOT
from requirements import Lock

MACHINES = ("x86_64", "aarch64")
EPOCH = (1980, 1, 1, 0, 0, 0)
NEWEST_GLIBC = 36
"""Minor version of the newest glibc 2 whose wheels are taken; Debian 12 has it."""


def machines(platforms: str) -> list[str]:
    """
    >>> machines("linux/aarch64,linux/x86_64")
    ['aarch64', 'x86_64']
    """
    found = []
    for word in platforms.replace(",", " ").split():
        system, _, machine = word.partition("/")
        if system != "linux" or machine not in MACHINES:
            mend = f"one of {', '.join(f'linux/{m}' for m in MACHINES)}"
            raise EdgeloopError("no such platform", where="--wheelhouse", why=word, mend=mend)
        found.append(machine)
    return found


def wheelhouse(profiles: Sequence[str], python: str, machine: str, out: Path) -> Path:
    """Downloads the wheels of the profiles (default: core) for Linux on `machine` and Python `python` (such as 3.12).

    Returns the file `wheelhouse-<machine>.zip` in the layout of the artifacts below `out`: the same bytes from the
    same locks.
    """
    known = [name for name, profile in PROFILES.items() if profile.folder == DEVICE]
    if unknown := sorted(set(profiles) - set(known)):
        raise EdgeloopError("no such profile", why=", ".join(unknown), mend=f"one of {', '.join(known)}")
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "lock.txt")
        lines.write_text(_for_target(dict.fromkeys(["core", *profiles]), python, machine))
        wheels = Path(folder, "wheels")
        command = [
            *packages.pip_command(Path(sys.executable)), "download", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--require-hashes", "--only-binary", ":all:", "--implementation", "cp",
            "--python-version", python, *(word for tag in _platforms(machine) for word in ("--platform", tag)),
            "-r", str(lines), "-d", str(wheels),
        ]  # fmt: skip
        _done(command, "the wheels cannot be downloaded")
        made = out / RUNTIME / __version__ / f"wheelhouse-{machine}.zip"
        pack(sorted(wheels.iterdir()), made)
    return made


def pack(wheels: Sequence[Path], target: Path) -> None:
    """Wheels into one file, stored: the same bytes whenever it is done."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.new")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for wheel in wheels:
            entry = zipfile.ZipInfo(wheel.name, EPOCH)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            entry.file_size = wheel.stat().st_size
            with wheel.open("rb") as source, archive.open(entry, "w") as packed:
                shutil.copyfileobj(source, packed, 1 << 20)
    partial.replace(target)


def _for_target(profiles: dict[str, None], python: str, machine: str) -> str:
    """The locks' lines that hold for one Python on one machine, without markers.

    >>> any(";" in line for line in _for_target({"core": None}, "3.12", "aarch64").splitlines())
    False
    """
    from packaging.markers import Marker

    if python not in PYTHONS:
        raise EdgeloopError("no such Python", where="--python", why=python, mend=f"one of {', '.join(PYTHONS)}")
    there, lines = target(python, machine), []
    for line in Lock.merge(*((DEVICE / f"{name}.txt").read_text() for name in profiles)).lines:
        requirement, _, hashes = line.partition(" --hash=")
        pin, _, marker = requirement.partition(";")
        if not marker.strip() or Marker(marker).evaluate(there):
            lines.append(f"{pin.strip()} --hash={hashes}")
    return "\n".join([*lines, ""])


def _done(command: list[str], what: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise EdgeloopError(what, why=" ".join(lines[-2:]))
    return done.stdout


def _platforms(machine: str) -> list[str]:
    """The oldest first: pip takes the first that has a wheel, and that runs on the most devices.

    >>> _platforms("x86_64")[:2], len(_platforms("aarch64"))
    (['manylinux2014_x86_64', 'manylinux_2_5_x86_64'], 33)
    """
    return [f"manylinux2014_{machine}"] + [f"manylinux_2_{minor}_{machine}" for minor in range(5, NEWEST_GLIBC + 1)]
