"""A package with one more variant."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edgeloop.errors import EdgeloopError
from edgeloop.models.manifest import SIGNATURE, Manifest, Variant
from edgeloop.models.package import Package, listed, pack, unpack
from edgeloop.models.proof import Prover
from edgeloop.models.trial import Outcome
from edgeloop.models.versions import NUMBER

Files = dict[str, bytes | Path]


@dataclass(frozen=True)
class Extended:
    """A package that was written. tried: what became here of each ONNX variant."""

    path: Path
    digest: str
    manifest: Manifest
    tried: dict[str, Outcome]

    @property
    def taken(self) -> str:
        """Path of the variant that a device like this machine takes: the fastest that passes, or ""."""
        passed = {path: outcome.latency for path, outcome in self.tried.items() if not outcome.error}
        return min(passed, key=lambda path: passed[path]) if passed else ""


@contextmanager
def opened(path: Path) -> Iterator[Package]:
    """A package, unpacked for a while. Raises EdgeloopError."""
    with tempfile.TemporaryDirectory(prefix="edgeloop-model-") as folder:
        yield unpack(path, Path(folder))


def source(package: Package) -> Variant:
    """The ONNX variant that others are made of. Raises EdgeloopError."""
    for variant in package.manifest.variants:
        if variant.runtime == "onnxruntime" and variant.precision == "float32":
            return variant
    raise EdgeloopError("the package has no ONNX variant in float32", where=package.manifest.name,
                        mend="make it with `edgeloop model package`")  # fmt: skip


def following(version: str) -> str:
    """
    >>> following("1.2.9"), following("1.2.9-rc1")
    ('1.2.10', '1.2.10')
    """
    found = NUMBER.match(version)
    assert found is not None
    return f"{found[1]}.{found[2]}.{int(found[3]) + 1}"


def extend(
    package: Package, variant: Variant, files: Files, out: Path, *, version: str = "", key: str = ""
) -> Extended:
    """Writes the package with a variant more (or anew), under its next version, and tries what can be tried here.

    files: of the variant, by name. key: a private key to sign with; the old signature is of another manifest. Raises
    EdgeloopError.
    """
    before = package.manifest
    gone = {name for known in before.variants if known.path == variant.path for name in before.files
            if known.holds(name)}  # fmt: skip
    whole: Files = {name: package.folder / name for name in before.files if name not in gone}
    whole |= files
    manifest = msgspec.structs.replace(
        before, schema=2, version=version or following(before.version), files=listed(whole),
        variants=(*(known for known in before.variants if known.path != variant.path), variant),
        provenance=msgspec.structs.replace(before.provenance, parent=package.digest),
    )  # fmt: skip
    digest = pack(out, manifest, whole, key or None)
    with opened(out) as made:
        tried = {each.path: Prover().prove(made, each) for each in made.manifest.candidates(("onnxruntime",))}
    return Extended(out, digest, manifest, tried)


def opset(model: Any) -> int:
    """Of ONNX's own operators in a model (ModelProto), 0 where it names none."""
    return max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)


def was_signed(package: Package) -> bool:
    return (package.folder / SIGNATURE).exists()


def lines(extended: Extended, sizes: Iterable[tuple[str, int]]) -> list[str]:
    """A row for each variant: how long a run takes here, and which one a device like this takes."""
    rows = []
    size = dict(sizes)
    for variant in extended.manifest.variants:
        outcome = extended.tried.get(variant.path)
        said = "not tried here" if outcome is None else outcome.error or f"{1e3 * outcome.latency:.2f} ms a run here"
        taken = "  ← the one that a device like this takes" if variant.path == extended.taken else ""
        kind = f"{variant.runtime} {variant.precision} {variant.architecture}"
        rows.append(f"  {variant.path:<18} {kind:<26} {size.get(variant.path, 0) / 1e6:8.2f} MB  {said}{taken}")
    return rows


def bytes_of(manifest: Manifest) -> list[tuple[str, int]]:
    """Of each variant: path and bytes."""
    return [
        (variant.path, sum(file.size for name, file in manifest.files.items() if variant.holds(name)))
        for variant in manifest.variants
    ]
