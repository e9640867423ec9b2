"""The locks: every package with its version and hashes, for all platforms and Python 3.11 and newer at once."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from edgeloop.errors import EdgeloopError
from edgeloop_tools.cli import ROOT

OLDEST_PYTHON = "3.11"
DEVICE = ROOT / "components" / "runtime" / "locks"
LAPTOP = ROOT / "scripts" / "locks"


@dataclass(frozen=True, slots=True)
class Profile:
    """extras: of pyproject.toml, resolved together. imports: modules that must load before an environment is used.

    lone: requirements taken without what they depend on.
    """

    folder: Path
    extras: tuple[str, ...]
    imports: tuple[str, ...]
    lone: tuple[str, ...] = ()


CORE = ("numpy", "msgspec", "cbor2", "awscrt", "awsiot.greengrasscoreipc")
TOOLS = (*CORE, "yaml", "rich", "matplotlib", "boto3", "moto", "pyarrow", "onnx", "onnxruntime")
PROFILES = {
    "core": Profile(DEVICE, (), CORE),
    "vision": Profile(DEVICE, ("vision",), (*CORE, "onnxruntime", "cv2")),
    "upload": Profile(DEVICE, ("upload",), (*CORE, "stream_manager", "pyarrow.parquet", "boto3")),
    "protocols": Profile(DEVICE, ("protocols",), (*CORE, "paho.mqtt.client", "pymodbus.client", "serial", "asyncua")),
    "neo": Profile(DEVICE, (), CORE, lone=("dlr==1.6.0 ; platform_machine == 'x86_64'",)),
    "tools": Profile(LAPTOP, ("tools",), TOOLS),
    "dev": Profile(LAPTOP, ("tools", "dev"), (*TOOLS, "pytest", "hypothesis", "cv2", "stream_manager")),
}
"""dlr 1.6.0 is taken alone: it needs numpy only, and what it names besides serves its call home."""


def lock(names: list[str] | None = None, upgrade: bool = False) -> None:
    """Writes the locks of the named profiles, by default all; keeps versions that still fit unless `upgrade`."""
    for tool in ("uv", "pip"):
        require(tool)
    if unknown := set(names or ()) - set(PROFILES):
        raise EdgeloopError("no such profile", why=", ".join(sorted(unknown)), mend=f"one of {', '.join(PROFILES)}")
    together = _resolve(_requirements(*tomllib.loads(_pyproject())["project"]["optional-dependencies"]), None, upgrade)
    for name in names or PROFILES:
        profile = PROFILES[name]
        body = _resolve(_requirements(*profile.extras), together, upgrade)
        for requirement in profile.lone:
            body += _resolve([requirement], None, upgrade, "--no-deps")
        path = profile.folder / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        download, disk = _measure(body)
        path.write_text(
            f"# {name}: made by `edgeloop build --lock`, not by hand.\n# imports: {' '.join(profile.imports)}\n"
            f"# megabytes: {download} download, {disk} disk\n{body}"
        )
        print(f"{path.relative_to(ROOT)}: {download} MB to download, {disk} MB on disk")


def require(tool: str) -> None:
    """Raises EdgeloopError when a developer's package is not in the environment."""
    if importlib.util.find_spec(tool) is None:
        mend = "run `./scripts/edgeloop test --version` once: it installs the developers' packages"
        raise EdgeloopError(f"{tool} is not installed", mend=mend)


def _pyproject() -> str:
    return (ROOT / "pyproject.toml").read_text()


def _requirements(*extras: str) -> list[str]:
    project = tomllib.loads(_pyproject())["project"]
    return [*project["dependencies"], *(r for e in extras for r in project["optional-dependencies"][e])]


def _resolve(requirements: list[str], constraints: str | None, upgrade: bool, *options: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        wanted, given = Path(folder, "wanted.in"), Path(folder, "given.txt")
        wanted.write_text("\n".join(requirements) + "\n")
        command = [
            sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header",
            "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--python-version", OLDEST_PYTHON,
            "--only-binary", ":all:", "--fork-strategy", "fewest", *options, str(wanted),
        ]  # fmt: skip
        if constraints is None:
            if not upgrade:
                existing = [path.read_text() for path in sorted(DEVICE.glob("*.txt")) + sorted(LAPTOP.glob("*.txt"))]
                given.write_text("\n".join(_pins(existing)))
                command += ["--output-file", str(given)]
        else:
            given.write_text("\n".join(_pins([constraints])))
            command += ["--constraints", str(given)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EdgeloopError("the requirements cannot be resolved", where="pyproject.toml", why=done.stderr.strip())
        return given.read_text() if "--output-file" in command else done.stdout


def _pins(texts: list[str]) -> list[str]:
    lines = (line for text in texts for line in text.splitlines())
    return sorted({line.rstrip(" \\") for line in lines if line[:1].isalnum()})


def _measure(body: str) -> tuple[int, int]:
    """(MB of wheels to download, MB installed) on this platform."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "lock.txt")
        requirements.write_text(body)
        wheels, installed = Path(folder, "wheels"), Path(folder, "installed")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(requirements)]
        offline = ["--no-index", "--find-links", str(wheels)]
        for command in (
            [*pip, "download", *options, "-d", str(wheels)],
            [*pip, "install", *options, *offline, "--target", str(installed)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise EdgeloopError("the lock cannot be installed", why=done.stderr.strip())
        return _megabytes(wheels), _megabytes(installed)


def _megabytes(folder: Path) -> int:
    return -(-sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) // 1_000_000)
