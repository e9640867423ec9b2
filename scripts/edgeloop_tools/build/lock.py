"""The locks: every package with its version and hashes, for all platforms and Python 3.11 and newer at once."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from edgeloop.errors import EdgeloopError
from edgeloop_tools.cli import ROOT

OLDEST_PYTHON = "3.11"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
GLIBC = (17, 26, 27, 28, 31, 34, 36)
"""Minor versions of glibc 2 that wheels are tagged with."""
MEGABYTE = 1_000_000
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


@dataclass(frozen=True, slots=True)
class Extra:
    """What a command needs beyond the tools; `scripts/locks/<name>.txt` holds what is not among theirs.

    imports: modules that must load before it is used.
    """

    imports: tuple[str, ...]


CORE = ("numpy", "msgspec", "cbor2", "awscrt", "awsiot.greengrasscoreipc")
MQTT = ("paho.mqtt.client", "google.protobuf.message")
FIELD = (*MQTT, "pymodbus.client", "serial", "asyncua")
TOOLS = (*CORE, "yaml", "rich", "boto3", "moto", "packaging")
DEV = (*CORE, "yaml", "rich", "matplotlib", "boto3", "moto", "pyarrow", "onnx", "onnxruntime",
       "pytest", "hypothesis", "cv2", "stream_manager")  # fmt: skip
PROFILES = {
    "core": Profile(DEVICE, (), CORE),
    "vision": Profile(DEVICE, ("vision",), (*CORE, "onnxruntime", "cv2")),
    "upload": Profile(DEVICE, ("upload",), (*CORE, "stream_manager", "pyarrow.parquet", "boto3")),
    "mqtt": Profile(DEVICE, ("mqtt",), (*CORE, *MQTT)),
    "protocols": Profile(DEVICE, ("protocols",), (*CORE, *FIELD)),
    "neo": Profile(DEVICE, (), CORE, lone=("dlr==1.6.0 ; platform_machine == 'x86_64'",)),
    "video": Profile(DEVICE, ("video",), (*CORE, "av")),
    "console": Profile(DEVICE, ("console",), (*CORE, "starlette", "uvicorn", "argon2", "cryptography")),
    "tools": Profile(LAPTOP, ("tools",), TOOLS),
    "dev": Profile(LAPTOP, ("tools", "dev"), DEV),
}
"""dlr 1.6.0 is taken alone: it needs numpy only, and what it names besides serves its call home."""
EXTRAS = {
    "parquet": Extra(("pyarrow.parquet",)),
    "models": Extra(("onnx", "onnxruntime")),
    "plots": Extra(("matplotlib",)),
    "vision": Extra(("onnx", "onnxruntime", "cv2")),
    "images": Extra(("onnx", "onnxruntime", "cv2", "sklearn")),
    "analytics": Extra(("duckdb", "ibis", "pandas", "pyiceberg", "sklearn", "statsforecast", "stumpy")),
    "video": Extra(("av",)),
    "console": Extra(("starlette", "uvicorn", "argon2", "cryptography")),
    "tables": Extra(("nptdms", "openpyxl", "python_calamine", "dateutil", "scipy", "soundfile")),
}
"""Resolved one by one against the pins of the profiles."""


def lock(names: list[str] | None = None, upgrade: bool = False) -> None:
    """Writes the locks of the named profiles and extras, by default all; keeps versions that still fit unless
    `upgrade`."""
    for tool in ("uv", "pip"):
        require(tool)
    known = [*PROFILES, *(name for name in EXTRAS if name not in PROFILES)]
    if unknown := set(names or ()) - set(known):
        raise EdgeloopError("no such profile", why=", ".join(sorted(unknown)), mend=f"one of {', '.join(known)}")
    locks = [profile.folder / f"{name}.txt" for name, profile in PROFILES.items()]
    everything = _requirements(*tomllib.loads(_pyproject())["project"]["optional-dependencies"])
    together = _resolve(everything, None, upgrade, keeping=locks)
    for name, profile in PROFILES.items():
        if name in (names or PROFILES):
            body = _resolve(_requirements(*profile.extras), together, upgrade)
            for requirement in profile.lone:
                body += _resolve([requirement], None, upgrade, "--no-deps", keeping=locks)
            _write(profile.folder / f"{name}.txt", profile.imports, body)
    tools = (LAPTOP / "tools.txt").read_text()
    for name, extra in EXTRAS.items():
        if name in (names or EXTRAS):
            path = LAPTOP / f"{name}.txt"
            body = _resolve(_requirements_of(name), together, upgrade, keeping=[path])
            _write(path, extra.imports, _without(body, tools))


def _write(path: Path, imports: tuple[str, ...], body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = _measure(body)
    download, disk = (-(-sum(size[n] for size in sizes.values()) // MEGABYTE) for n in (0, 1))
    each = ", ".join(f"{name} {-(-wheel // 1000)} {-(-own // 1000)}" for name, (wheel, own) in sorted(sizes.items()))
    path.write_text(
        f"# {path.stem}: made by `edgeloop build --lock`, not by hand.\n# imports: {' '.join(imports)}\n"
        f"# megabytes: {download} download, {disk} disk\n# kB of wheel and on disk: {each}\n"
        f"# wheels: {reach(body)}\n{body}"
    )
    print(f"{path.relative_to(ROOT)}: {download} MB to download, {disk} MB on disk")


def reach(body: str) -> str:
    """For whom every package of a lock has a wheel: machines, Pythons, the oldest glibc, and whether musl is served.

    Asks the index which wheels there are. What a marker leaves out on a machine is not needed there.
    """
    with tempfile.TemporaryDirectory() as folder:
        lines, found = Path(folder, "lock.txt"), Path(folder, "pylock.toml")
        lines.write_text(body)
        command = [
            sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-deps", "--universal", "--only-binary",
            ":all:", "--python-version", OLDEST_PYTHON, "--output-file", str(found), str(lines),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EdgeloopError("the lock's wheels cannot be listed", why=done.stderr.strip())
        packages = tomllib.loads(found.read_text())["packages"]

    def served(python: str, machine: str, libc: str) -> bool:
        return all(_served(package, python, machine, libc) for package in packages)

    newest = f"manylinux_2_{GLIBC[-1]}"
    pythons = [p for p in PYTHONS if all(served(p, m, newest) for m in MACHINES)]
    pairs = [(p, m) for p in pythons for m in MACHINES]
    glibc = next(minor for minor in GLIBC if all(served(p, m, f"manylinux_2_{minor}") for p, m in pairs))
    musl = ", musl" if pythons and all(served(p, m, "musllinux_1_2") for p, m in pairs) else ""
    return f"{' '.join(MACHINES)}, Python {' '.join(pythons)}, glibc 2.{glibc}{musl}"


def target(python: str, machine: str) -> dict[str, str]:
    """What markers are judged by, for CPython `python` on Linux."""
    return {
        "python_version": python, "python_full_version": f"{python}.0", "platform_machine": machine,
        "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix",
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
    }  # fmt: skip


def _served(package: dict[str, Any], python: str, machine: str, libc: str) -> bool:
    """Whether one package of a pylock has a wheel for CPython `python` on Linux."""
    from packaging.markers import Marker
    from packaging.tags import compatible_tags, cpython_tags
    from packaging.utils import parse_wheel_filename

    if "marker" in package and not Marker(package["marker"]).evaluate(target(python, machine)):
        return True
    name, _, newest = libc.rpartition("_")
    oldest = 5 if name.startswith("many") else 0
    platforms = [f"{name}_{minor}_{machine}" for minor in range(int(newest), oldest - 1, -1)]
    version = (3, int(python.split(".")[1]))
    tags = {*cpython_tags(version, platforms=platforms), *compatible_tags(version, f"cp3{version[1]}", platforms)}
    return any(parse_wheel_filename(unquote(w["url"].rpartition("/")[2]))[3] & tags for w in package["wheels"])


def _without(body: str, others: str) -> str:
    r"""The requirements of a lock's body that another lock does not hold.

    >>> a, b = "a==1 \\\n    --hash=sha256:aa\n", "b==2 \\\n    --hash=sha256:bb\n"
    >>> _without(a + b, "# x\n" + a) == b
    True
    """
    held = {pin.split()[0] for pin in _pins([others])}
    blocks = re.split(r"^(?=\S)", body, flags=re.M)
    return "".join(block for block in blocks if block and block.split()[0] not in held)


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


def _requirements_of(extra: str) -> list[str]:
    """An extra's own and, where it is a profile's name too, the profile's."""
    document = tomllib.loads(_pyproject())
    return [*document["project"]["optional-dependencies"].get(extra, []), *document["dependency-groups"].get(extra, [])]


def _resolve(
    requirements: list[str], constraints: str | None, upgrade: bool, *options: str, keeping: Sequence[Path] = ()
) -> str:
    """A lock's body. keeping: locks whose versions stay where they fit and `upgrade` is not asked for."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, given = Path(folder, "wanted.in"), Path(folder, "given.txt")
        wanted.write_text("\n".join(requirements) + "\n")
        command = [
            sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header",
            "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--python-version", OLDEST_PYTHON,
            "--only-binary", ":all:", "--fork-strategy", "fewest", *options, str(wanted),
        ]  # fmt: skip
        if not upgrade:
            given.write_text("\n".join(_pins([path.read_text() for path in keeping if path.is_file()])))
            command += ["--output-file", str(given)]
        if constraints is not None:
            Path(folder, "constraints.txt").write_text("\n".join(_pins([constraints])))
            command += ["--constraints", str(Path(folder, "constraints.txt"))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EdgeloopError("the requirements cannot be resolved", where="pyproject.toml", why=done.stderr.strip())
        return given.read_text() if "--output-file" in command else done.stdout


def _pins(texts: list[str]) -> list[str]:
    lines = (line for text in texts for line in text.splitlines())
    return sorted({line.rstrip(" \\") for line in lines if line[:1].isalnum()})


def _measure(body: str) -> dict[str, tuple[int, int]]:
    """Package → bytes of (its wheel, what is installed of it) on this platform."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "lock.txt")
        requirements.write_text(body)
        wheels, installed = Path(folder, "wheels"), Path(folder, "installed")
        wheels.mkdir()
        installed.mkdir()
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
        sizes = {canonical(path.name.partition("-")[0]): path.stat().st_size for path in wheels.iterdir()}
        return {
            canonical(found.metadata["Name"]): (sizes[canonical(found.metadata["Name"])], _installed(found))
            for found in metadata.distributions(path=[str(installed)])
        }


def _installed(distribution: metadata.Distribution) -> int:
    paths = (Path(str(file.locate())) for file in distribution.files or ())
    return sum(path.lstat().st_size for path in paths if path.is_file())


def canonical(name: str) -> str:
    """
    >>> canonical("Typing_Extensions")
    'typing-extensions'
    """
    return re.sub(r"[-_.]+", "-", name).lower()
