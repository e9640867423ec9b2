"""`golden.npz`: inputs and the outputs that a model must give for them.

Arrays `input.<name>` and `output.<number>`, the first axis counting cases; no compression, no objects. An output whose
shape is another one in each case, such as a detector's boxes, is an array `output.<number>.<case>` for each.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeloop.models.errors import ModelRefused, Reason
from edgeloop.models.manifest import Golden, Manifest

LARGEST: Final = 64 << 20
"""Bytes."""
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One run: inputs by name, the outputs expected."""

    inputs: dict[str, Array]
    outputs: list[Array]


def encode(cases: Sequence[Case]) -> bytes:
    """The file. The inputs of all cases have the same shapes, the outputs may have others."""
    arrays = {f"input.{name}": np.stack([case.inputs[name] for case in cases]) for name in cases[0].inputs}
    for n in range(len(cases[0].outputs)):
        found = [np.asarray(case.outputs[n]) for case in cases]
        if len({values.shape for values in found}) == 1:
            arrays[f"output.{n}"] = np.stack(found)
        else:
            arrays |= {f"output.{n}.{k}": values for k, values in enumerate(found)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            with archive.open(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(arrays[name]), allow_pickle=False)
    return buffer.getvalue()


def read(path: Path, manifest: Manifest) -> list[Case]:
    """The cases. Raises ModelRefused where they do not fit the manifest."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise _refused("it is compressed")
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise _refused(f"it is larger than {LARGEST:,} B")
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zipfile.LargeZipFile, MemoryError) as error:
        raise _refused(str(error)) from None
    names = [f"input.{t.name}" for t in manifest.inputs] + [f"output.{n}" for n in range(len(manifest.outputs))]
    try:
        arrays = _gathered(arrays, len(manifest.outputs))
    except (KeyError, ValueError) as error:
        raise _refused(str(error)) from None
    if set(names) != set(arrays):
        raise _refused(f"it has {', '.join(sorted(arrays))}; {', '.join(sorted(names))} are expected")
    tensors = [*manifest.inputs, *manifest.outputs]
    flat = any(isinstance(array, np.ndarray) and array.ndim < 1 for array in arrays.values())
    if flat or len({len(array) for array in arrays.values()}) != 1:
        raise _refused("its arrays differ in the number of cases")
    count = len(arrays[names[0]])
    if not count:
        raise _refused("it has no cases")
    for name, tensor in zip(names, tensors, strict=True):
        for values in arrays[name][:1] if isinstance(arrays[name], np.ndarray) else arrays[name]:
            if reason := tensor.fits(values):
                raise _refused(reason)
    inputs = len(manifest.inputs)
    return [
        Case(
            {tensor.name: arrays[name][i] for name, tensor in zip(names[:inputs], manifest.inputs, strict=True)},
            [arrays[name][i] for name in names[inputs:]],
        )
        for i in range(count)
    ]


def _gathered(arrays: dict[str, Any], outputs: int) -> dict[str, Any]:
    """Outputs of a shape for each case, as lists. Raises ValueError where one is missing."""
    for n in range(outputs):
        own = {name: array for name, array in arrays.items() if name.startswith(f"output.{n}.")}
        if own and f"output.{n}" not in arrays:
            wanted = [f"output.{n}.{k}" for k in range(len(own))]
            if set(wanted) != set(own):
                raise ValueError(f"it has {', '.join(sorted(own))}")
            arrays = {name: array for name, array in arrays.items() if name not in own}
            arrays[f"output.{n}"] = [own[name] for name in wanted]
    return arrays


def worst(case: Case, outputs: Sequence[Array], tolerance: Golden) -> float:
    """The largest difference as a multiple of what is allowed: above 1 is wrong; infinite where shapes or types differ
    or a number is none.

    >>> case = Case({}, [np.array([1.0, 2.0])])
    >>> round(worst(case, [np.array([1.0, 2.1])], Golden(absolute=0.1, relative=0.0)), 3)
    1.0
    """
    if len(outputs) != len(case.outputs):
        return float("inf")
    largest = 0.0
    for have, want in zip(outputs, case.outputs, strict=True):
        if have.shape != want.shape or have.dtype != want.dtype:
            return float("inf")
        expected, got = want.astype(np.float64), have.astype(np.float64)
        allowed = tolerance.absolute + tolerance.relative * np.abs(expected)
        with np.errstate(all="ignore"):
            ratio = np.where(got == expected, 0.0, np.abs(got - expected) / allowed)
        ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
        if ratio.size:
            largest = max(largest, float(np.nan_to_num(ratio, nan=np.inf, posinf=np.inf).max()))
    return largest


def _refused(why: str) -> ModelRefused:
    return ModelRefused("the golden set is not valid", Reason.GOLDEN, where="golden.npz", why=why)
