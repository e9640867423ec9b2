"""What is done with packages that are made: sign, verify, compare."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgeloop.errors import EdgeloopError
from edgeloop.models import archive, signature
from edgeloop.models.manifest import MANIFEST, SIGNATURE, Manifest, decode
from edgeloop.models.package import Package, unpack
from edgeloop.models.proof import Prover
from edgeloop_tools.model import keys


def sign(path: Path, key: Path, out: Path) -> tuple[Manifest, str]:
    """Writes the package with the signature of a private key; returns its manifest and new digest. Raises
    EdgeloopError."""
    secret = keys.private(key)
    with tempfile.TemporaryDirectory() as folder:
        package = unpack(path, Path(folder))
        files: dict[str, bytes | Path] = {name: package.folder / name for name in package.manifest.files}
        manifest = (package.folder / MANIFEST).read_bytes()
        whole = {**files, MANIFEST: manifest, SIGNATURE: signature.sign(manifest, secret)}
        return package.manifest, archive.write(out, whole)


def verify(path: Path, trusted: Mapping[str, str], *, attempt: bool = False) -> list[str]:
    """What was found, a line each. attempt: loads the model and gives it its golden set, as a device will.

    Raises EdgeloopError for what a device would refuse.
    """
    with tempfile.TemporaryDirectory() as folder:
        package = unpack(path, Path(folder), keys=trusted)
        manifest = package.manifest
        lines = [f"{manifest.name} {manifest.version}: every byte is what its manifest says, digest {package.digest}"]
        lines.append(_signed(package, trusted))
        cases = package.cases()
        lines.append(f"golden set of {len(cases)} cases")
        if attempt:
            lines += _tried(package)
    return lines


def _signed(package: Package, trusted: Mapping[str, str]) -> str:
    there = package.folder / SIGNATURE
    if not there.exists():
        return "not signed"
    if not trusted:
        return "signed; by whom is not known: give --key release.pub"
    return f"signed by {signature.verify((package.folder / MANIFEST).read_bytes(), there.read_bytes(), trusted)}"


def _tried(package: Package) -> list[str]:
    lines = []
    for variant in package.manifest.candidates(("onnxruntime",)):
        outcome = Prover().prove(package, variant)
        if outcome.error:
            raise EdgeloopError("it does not pass", where=variant.path, why=outcome.error)
        lines.append(
            f"{variant.path} here: {1e3 * outcome.latency:.2f} ms a run, loaded in {outcome.load:.2f} s, "
            f"{outcome.memory >> 20} MiB, {outcome.worst:.3g} of the tolerance"
        )
    return lines or ["no variant for this machine"]


def difference(first: Path, second: Path) -> list[str]:
    """What differs between two packages, a line each. Raises EdgeloopError."""
    one, other = (_flat(msgspec.to_builtins(manifest(path)), "") for path in (first, second))
    lines = []
    for name in sorted({*one, *other}):
        have, get = one.get(name), other.get(name)
        if have != get:
            lines.append(f"{name}: {_shown(have)} → {_shown(get)}{_change(have, get)}")
    return lines


def manifest(path: Path) -> Manifest:
    """Of a package, its bytes checked. Raises EdgeloopError."""
    with tempfile.TemporaryDirectory() as folder:
        return decode((unpack(path, Path(folder)).folder / MANIFEST).read_bytes())


def _flat(value: Any, path: str) -> dict[str, Any]:
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for name, below in value.items():
            found |= _flat(below, f"{path}.{name}" if path else name)
        return found
    if isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        return _flat({str(n): item for n, item in enumerate(value)}, path)
    return {path: list(value) if isinstance(value, tuple) else value}


def _change(have: Any, get: Any) -> str:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (have, get))
    return f" ({get - have:+.4g})" if numbers else ""


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}…"
