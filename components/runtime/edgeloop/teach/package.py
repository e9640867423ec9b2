"""The package of a taught model."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Final

from edgeloop import clock
from edgeloop.errors import EdgeloopError
from edgeloop.models import golden
from edgeloop.models.head import Head
from edgeloop.models.manifest import Card, Golden, Image, Manifest, Provenance, Tensor, Variant
from edgeloop.models.package import listed, pack, unpack
from edgeloop.models.proof import Prover
from edgeloop.teach.backbone import SHA256
from edgeloop.teach.lesson import Taught

LICENCE: Final = "what was taught is yours; the backbone in it is EfficientNet-Lite0, Apache-2.0, Google LLC"
FAIL: Final = 0.5


def write(
    taught: Taught, path: Path, name: str, version: str, *, by: str = "", made_on: str = "", source: str = "",
    key: str | None = None, parent: str | None = None,
) -> str:  # fmt: skip
    """Writes the package and proves that a device takes it; its digest. made_on: the thing that taught it, where it is
    one. parent: digest of the package that it was taught from."""
    height, width = taught.height, taught.width
    heat = (height // taught.cell, width // taught.cell)
    files: dict[str, bytes | Path] = {"model.onnx": taught.model, "golden.npz": golden.encode(taught.cases)}
    who = f" by {by}" if by else ""
    manifest = Manifest(
        schema=2, name=name, version=version, task="one_class", files=listed(files),
        variants=(Variant(runtime="onnxruntime", path="model.onnx"),),
        inputs=(Tensor(name="image", dtype="uint8", shape=(1, height, width, 3)),),
        outputs=(
            Tensor(name="score", dtype="float32", shape=(1,)),
            Tensor(name="heat", dtype="float32", shape=heat),
            Tensor(name="unlike", dtype="float32", shape=(1,)),
        ),
        golden=Golden(absolute=1e-2, relative=1e-2),
        preprocessing=(Image(input="image", width=width, height=height, colour="rgb", layout="nhwc"),),
        labels=("good", "anomaly"), thresholds={"fail": FAIL, "unlike": 1.0},
        head=Head(decoder="one_class", roles={"score": "score", "heat": "heat", "unlike": "unlike"}),
        metrics=taught.metrics, pictures=taught.pictures,
        provenance=Provenance(
            trained_at=clock.rfc3339(clock.now()), code=f"edgeloop teach{who}, backbone {SHA256[:12]}",
            data=f"{taught.data}{f' of {source}' if source else ''}", seed=0,
            tools={each: str(importlib.import_module(each).__version__) for each in ("numpy", "onnxruntime")},
            parent=parent, made_on=made_on,
        ),
        card=Card(
            description=f"How unlike {int(taught.metrics['pictures'])} good pictures a picture is, and where.",
            use="Parts that come in the same place under the same light, for faults that nobody has seen yet.",
            limits="What differs from the pictures shown is bad, also where it does not matter; what looks like them "
            "is good. Its limit comes from few pictures: correct it on the line, and show it bad ones.",
            licence=LICENCE,
        ),
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = pack(path, manifest, files, key)
    with tempfile.TemporaryDirectory(prefix="edgeloop-teach-") as folder:
        package = unpack(path, Path(folder))
        outcome = Prover().prove(package, package.manifest.variants[0])
    if outcome.error:
        path.unlink(missing_ok=True)
        raise EdgeloopError("a device would not take what was taught", where=str(path), why=outcome.error)
    return digest
