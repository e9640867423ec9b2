"""`model quantize`: an int8 variant beside the float32 one, where it says the same of pictures and the golden set.

By onnxruntime's own quantization (QDQ). A device that is given both tries both and takes the faster one that passes.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from camera_inference.frame import Frame
from camera_inference.prepare import Placement, Preparation
from camera_inference.verdict import Box, Criteria, Finding, interpret
from edgeloop import optional
from edgeloop.errors import EdgeloopError
from edgeloop.models.decoders import Decoder
from edgeloop.models.decoders import make as make_decoder
from edgeloop.models.golden import Case, worst
from edgeloop.models.manifest import Golden, Image, Manifest, Variant
from edgeloop.models.package import Package
from edgeloop_tools.model import samples
from edgeloop_tools.model.evidence import WHOLE
from edgeloop_tools.model.variants import Extended, extend, opened, opset, source

Array = NDArray[Any]
PATH: Final = "model.int8.onnx"
PARITY: Final = 0.99
MOST: Final = 120
"""Pictures that ranges are taken from."""
NEAR: Final = 0.05
"""Of outputs that nobody interprets: root mean square of the difference over that of the output."""
OPSET: Final = 13
"""From which on weights have a scale by channel."""
HEAVY: Final = ("Conv", "ConvTranspose", "MatMul", "Gemm")
SLACK: Final = 3.0
"""Of the largest difference seen here: other processors round otherwise."""
CRITERIA: Final = Criteria(frozenset({"good"}))


@dataclass(frozen=True)
class Sample:
    """One input, and how it lies on its picture."""

    inputs: dict[str, Array]
    placement: Placement | None


@dataclass(frozen=True)
class Parity:
    """same: part of the inputs of which both say the same. score: median difference of scores. error: of outputs, as
    NEAR. inputs: how many."""

    same: float
    score: float
    error: float
    inputs: int


@dataclass(frozen=True)
class Quantized:
    extended: Extended
    parity: Parity
    how: str
    notes: list[str]


@dataclass(frozen=True)
class _Way:
    words: str
    reduced: bool
    """Weights of 7 bits: processors without VNNI saturate otherwise."""
    first: int
    last: int
    """Heavy nodes left in float, at the beginning and at the end."""


WAYS: Final = (
    _Way("all layers", False, 0, 0), _Way("all layers, weights of 7 bits", True, 0, 0),
    _Way("all but the last", True, 0, 1), _Way("all but the first and the last", True, 1, 1),
    _Way("all but the first and the last 3", True, 1, 3), _Way("all but the first and the last 9", True, 1, 9),
)  # fmt: skip


def quantize(
    path: Path, out: Path, *, images: Path | None = None, version: str = "", parity: float = PARITY, key: str = ""
) -> Quantized:
    """Raises EdgeloopError where no way of it says the same on `parity` of the inputs."""
    with opened(path) as package, tempfile.TemporaryDirectory(prefix="edgeloop-int8-") as scratch:
        manifest, base = package.manifest, source(package)
        notes: list[str] = []
        found = list(_samples(package, images, notes))
        prepared = _prepared(package.folder / base.path, Path(scratch))
        cases = package.cases()
        plain = Session(package.folder / base.path, manifest)
        wanted = [plain.run(sample.inputs) for sample in found]
        decoder = make_decoder(manifest, package.folder)
        failed: list[str] = []
        for way in WAYS:
            try:
                data = _quantized(prepared, Path(scratch) / "int8.onnx", found, way)
            except EdgeloopError as error:
                failed.append(f"{way.words}: {error}")
                continue
            other = Session(Path(scratch) / "int8.onnx", manifest)
            said = [other.run(sample.inputs) for sample in found]
            how = _parity(manifest, decoder, found, wanted, said)
            golden = _golden(manifest, cases, other)
            if golden is not None and how.same >= parity:
                metrics = {"parity": round(how.same, 4), "score_difference": round(how.score, 4)}
                variant = Variant(runtime="onnxruntime", path=PATH, precision="int8", metrics=metrics, golden=golden)
                extended = extend(package, variant, {PATH: data}, out, version=version, key=key)
                if (outcome := extended.tried.get(PATH)) and outcome.error:
                    raise EdgeloopError("a device would not take it", where=PATH, why=outcome.error)
                return Quantized(extended, how, way.words, notes)
            shapes = "" if golden is not None else ", and its outputs have other shapes"
            failed.append(f"{way.words}: the same on {how.same:.1%} of {how.inputs} inputs{shapes}")
    mend = "give more --images of what it will see, or leave it in float32"
    raise EdgeloopError("int8 does not say what float32 says", where=str(path), why="; ".join(failed), mend=mend)


class Session:
    """A graph, and outputs in the manifest's order."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        ort = optional.load("onnxruntime", "quantizing a model")
        ort.set_default_logger_severity(4)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._names = [tensor.name for tensor in manifest.outputs]
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        return [np.asarray(each) for each in self._session.run(self._names, dict(inputs))]


def _samples(package: Package, images: Path | None, notes: list[str]) -> Iterator[Sample]:
    manifest = package.manifest
    picture = next((p for p in manifest.preprocessing if isinstance(p, Image)), None)
    whole = None
    if picture is not None:
        whole = Placement(0, 0, 1 / picture.width, 1 / picture.height, picture.width, picture.height)
    for case in package.cases():
        yield Sample({name: np.asarray(value) for name, value in case.inputs.items()}, whole)
    if picture is None:
        notes.append("ranges are those of the golden set: it is no model for pictures")
        return
    if images is None:
        notes.append("no pictures were given: ranges are those of the golden set alone; name some with --images")
        return
    preparation = Preparation(manifest, WHOLE)
    found, lines = samples.read(images, MOST)
    notes += lines[:3]
    for each in found:
        tensor, placement = preparation.fill(Frame("", 0, 0, each.image, "bgr"), preparation.buffer())
        yield Sample({preparation.tensor.name: np.array(tensor)}, placement)


def _prepared(path: Path, scratch: Path) -> Path:
    """With shapes, and of an opset that knows scales by channel."""
    onnx = optional.load("onnx", "quantizing a model")
    shapes = optional.load("onnxruntime.quantization.shape_inference", "quantizing a model")
    model = onnx.load(str(path))
    version = opset(model)
    if version < OPSET:
        try:
            model = onnx.version_converter.convert_version(model, OPSET)
        except Exception as error:
            why, mend = f"opset {version}: {error}", f"export it anew with opset {OPSET} or later"
            raise EdgeloopError("the model is too old to be quantized", where=path.name, why=why, mend=mend) from error
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    plain, out = scratch / "plain.onnx", scratch / "prepared.onnx"
    onnx.save(model, str(plain))
    try:
        with _silent(logging.CRITICAL):
            shapes.quant_pre_process(str(plain), str(out), skip_symbolic_shape=True)
        named = onnx.load(str(out))
        if all(node.name for node in named.graph.node):
            return out
    except Exception as error:
        logging.getLogger(__name__).debug("shapes of %s are not known: %s", path.name, error)
    return plain


@contextmanager
def _silent(level: int) -> Iterator[None]:
    """Nothing is logged up to a level."""
    before = logging.root.manager.disable
    logging.disable(level)
    try:
        yield
    finally:
        logging.disable(before)


class _Reader:
    def __init__(self, samples: Sequence[Sample]) -> None:
        self._left = iter(samples)

    def get_next(self) -> dict[str, Array] | None:
        return next((dict(sample.inputs) for sample in self._left), None)


def _quantized(prepared: Path, out: Path, found: Sequence[Sample], way: _Way) -> bytes:
    onnx = optional.load("onnx", "quantizing a model")
    quantization = optional.load("onnxruntime.quantization", "quantizing a model")
    heavy = [n.name for n in onnx.load(str(prepared)).graph.node if n.op_type in HEAVY]
    if not heavy:
        raise EdgeloopError("there is nothing to quantize", why=f"no {', '.join(HEAVY)}")
    spared = [*heavy[: way.first], *heavy[len(heavy) - way.last :]]
    if len(set(spared)) >= len(heavy):
        raise EdgeloopError("nothing would be left to quantize", why=f"{len(heavy)} layers")
    try:
        with _silent(logging.WARNING):
            quantization.quantize_static(
                str(prepared), str(out), _Reader(found), quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=[*HEAVY, "MaxPool"],
                per_channel=True, reduce_range=way.reduced, nodes_to_exclude=spared,
                activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
            )  # fmt: skip
    except Exception as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise EdgeloopError("onnxruntime cannot quantize the model", why=line) from error
    if not any(node.op_type == "QuantizeLinear" for node in onnx.load(str(out)).graph.node):
        raise EdgeloopError("nothing was quantized")
    return out.read_bytes()


def _parity(
    manifest: Manifest, decoder: Decoder | None, found: Sequence[Sample], one: Sequence[list[Array]],
    other: Sequence[list[Array]],
) -> Parity:  # fmt: skip
    errors = [_error(a, b) for a, b in zip(one, other, strict=True)]
    pairs: list[tuple[Finding, Finding]] = []
    for sample, a, b in zip(found, one, other, strict=True):
        if sample.placement is not None:
            pairs.append((
                interpret(manifest, a, sample.placement, CRITERIA, decoder),
                interpret(manifest, b, sample.placement, CRITERIA, decoder),
            ))  # fmt: skip
    if not pairs:
        same = float(np.mean([error <= NEAR for error in errors]))
        return Parity(same, 0.0, float(np.median(errors)), len(found))
    same = float(np.mean([alike(manifest, a, b) for a, b in pairs]))
    score = float(np.median([abs(a.score - b.score) for a, b in pairs]))
    return Parity(same, score, float(np.median(errors)), len(pairs))


def alike(manifest: Manifest, one: Finding, other: Finding) -> float:
    """0..1: verdict and label are the same, and the boxes are where they were (twice those in common over all)."""
    verdicts = {CRITERIA.judge(finding, manifest) for finding in (one, other)}
    if len(verdicts) > 1 or one.label != other.label:
        return 0.0
    if manifest.task != "detection" or not (one.boxes or other.boxes):
        return 1.0
    left, common = list(other.boxes), 0
    for box in one.boxes:
        best = max(left, key=lambda each: _overlap(box, each), default=None)
        if best is not None and best.label == box.label and _overlap(box, best) >= 0.5:
            left.remove(best)
            common += 1
    return 2 * common / (len(one.boxes) + len(other.boxes))


def _overlap(one: Box, other: Box) -> float:
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    both = max(0.0, across) * max(0.0, down)
    return both / max(1e-12, one.width * one.height + other.width * other.height - both)


def _error(one: Sequence[Array], other: Sequence[Array]) -> float:
    largest = 0.0
    for a, b in zip(one, other, strict=True):
        if a.shape != b.shape:
            return float("inf")
        expected = a.astype(np.float64)
        scale = float(np.sqrt(np.square(expected).mean())) if a.size else 0.0
        difference = float(np.sqrt(np.square(expected - b).mean())) if a.size else 0.0
        largest = max(largest, difference / max(scale, 1e-9))
    return largest


def _golden(manifest: Manifest, cases: Sequence[Case], session: Session) -> Golden | None:
    """Tolerances of its own; None where an output has another shape."""
    found = [session.run(case.inputs) for case in cases]
    if any(not np.isfinite(worst(case, outputs, Golden(absolute=1e30))) for case, outputs in zip(
        cases, found, strict=True)):  # fmt: skip
        return None
    largest = max(
        float(np.abs(want.astype(np.float64) - have).max(initial=0))
        for case, outputs in zip(cases, found, strict=True) for want, have in zip(case.outputs, outputs, strict=True)
    )  # fmt: skip
    absolute = max(manifest.golden.absolute, float(f"{SLACK * largest:.3g}"))
    return Golden(absolute=absolute, relative=max(0.02, manifest.golden.relative), agreement=manifest.golden.agreement)
