"""What is committed and deployed: recipes, locks, licences, metadata."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from edgeloop import __version__
from edgeloop_tools.build import stale
from edgeloop_tools.build.archive import LIMIT, pyz
from edgeloop_tools.build.components import UMBRELLA, declarations
from edgeloop_tools.build.lock import EXTRAS, LAPTOP, PROFILES
from edgeloop_tools.lint import check

ROOT = Path(__file__).resolve().parents[2]
LOCKS = {name: (profile.folder / f"{name}.txt").read_text() for name, profile in PROFILES.items()}
OF_EXTRAS = {name: (LAPTOP / f"{name}.txt").read_text() for name in EXTRAS}
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\]+)", re.M)


def test_recipes_and_tables_are_fresh() -> None:
    assert [str(path) for path in stale()] == [], "run `edgeloop build`"


def test_recipes_keep_every_rule() -> None:
    assert [str(finding) for finding in check(sorted((ROOT / "recipes").glob("*.yaml")))] == []


def test_gdk_names_the_umbrella() -> None:
    component = json.loads((ROOT / "gdk-config.json").read_text())["component"]
    assert list(component) == [UMBRELLA]
    assert component[UMBRELLA]["version"] == __version__


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"


@pytest.mark.parametrize("text", [*LOCKS.values(), *OF_EXTRAS.values()], ids=lambda text: text.split()[1])
def test_a_lock_has_hashes_and_no_places(text: str) -> None:
    body = re.sub(r"^\s*#.*\n", "", text, flags=re.M)
    lines = re.sub(r"\\\n\s*", "", body).splitlines()
    assert lines
    assert all(PIN.match(line) and "--hash=sha256:" in line for line in lines)
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize("name", EXTRAS)
def test_an_extra_goes_with_the_tools(name: str) -> None:
    """It holds what they do not, and nothing in another version."""
    extra = dict(PIN.findall(OF_EXTRAS[name]))
    for lock in ("tools", "dev"):
        known = dict(PIN.findall(LOCKS[lock]))
        assert {package for package in extra if known.get(package, extra[package]) != extra[package]} == set()
    assert not set(extra) & set(dict(PIN.findall(LOCKS["tools"])))


def test_the_locks_agree() -> None:
    pins: dict[str, set[str]] = {}
    for text in LOCKS.values():
        for block in re.findall(r"^\S+==[^\\]+", text, re.M):
            package, _, rest = block.partition("==")
            pins.setdefault(package, set()).add(rest.strip())
    core = {package for package, _ in PIN.findall(LOCKS["core"])}
    for name, text in LOCKS.items():
        assert core <= {package for package, _ in PIN.findall(text)}, name
    forked = {package: versions for package, versions in pins.items() if any(";" not in v for v in versions)}
    versions = {package: {v.partition(";")[0].strip() for v in said} for package, said in forked.items()}
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


def test_wheels_are_there_for_both_machines_and_four_pythons() -> None:
    """Said by the index when the lock was made; a lock that serves fewer is named here with its reason."""
    fewer = {
        "analytics": "3.11 3.12",  # statsforecast 2.0.1 has none for 3.13
    }
    for name, text in {**LOCKS, **{f"extra {name}": text for name, text in OF_EXTRAS.items()}}.items():
        (said,) = re.findall(r"^# wheels: (.*), Python ([\d. ]+), glibc 2\.(\d+)(?:, musl)?$", text, re.M)
        machines, pythons, glibc = said
        assert machines == "x86_64 aarch64", name
        assert pythons == fewer.get(name.removeprefix("extra "), "3.11 3.12 3.13 3.14"), name
        assert int(glibc) <= 28, f"{name}: Debian 10 and Amazon Linux 2023 have older ones than glibc 2.{glibc}"


def test_the_core_profile_is_small() -> None:
    packages = {package for package, _ in PIN.findall(LOCKS["core"])}
    assert packages == {"numpy", "msgspec", "cbor2", "awsiotsdk", "awscrt"}


FREE = re.compile(
    r"MIT|BSD|Apache|PSF|Python Software Foundation|ISC|Zlib|MPL[- ]2|Mozilla Public License 2|HPND|Unlicense|0BSD",
    re.I,
)


WEAK_COPYLEFT = {"asyncua", "nptdms"}
"""LGPL: a package of its own, used unchanged, that a user may replace."""


def test_dependencies_have_licences_that_go_with_apache_2() -> None:
    refused = []
    for package, _ in PIN.findall(LOCKS["dev"]):
        try:
            about = metadata.metadata(package)
        except metadata.PackageNotFoundError:
            continue
        classifiers = " ".join(c for c in about.get_all("Classifier") or [] if c.startswith("License"))
        said = about.get("License-Expression") or classifiers or about.get("License") or "nothing"
        if package in WEAK_COPYLEFT and re.search(r"Lesser|\bLGPL", said):
            continue
        if not FREE.search(said) or re.search(r"\bA?GPL", said):
            refused.append(f"{package}: {said[:80]}")
    assert refused == []


@pytest.mark.parametrize("declaration", declarations(), ids=lambda d: d.package)
def test_everything_in_an_archive_imports_from_it(declaration: object, tmp_path: Path) -> None:
    data = pyz(declaration)  # type: ignore[arg-type]
    assert len(data) <= LIMIT
    archive = tmp_path / "archive.pyz"
    archive.write_bytes(data)
    code = (
        "import importlib, sys, zipfile\n"
        "archive = sys.argv[1]\n"
        "sys.path[:] = [archive, *(path for path in sys.path if '/lib/python' in path)]\n"
        "names = [n for n in zipfile.ZipFile(archive).namelist() if n.endswith('.py') and n != '__main__.py']\n"
        "for name in names:\n"
        "    module = name[:-3].removesuffix('/__init__').replace('/', '.')\n"
        "    assert importlib.import_module(module).__file__.startswith(archive), module\n"
    )
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(archive)], capture_output=True, text=True, check=False, env=environ
    )
    assert done.returncode == 0, done.stderr
