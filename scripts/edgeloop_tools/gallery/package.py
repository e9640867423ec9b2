"""A model package whose classes are pictures' vectors."""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from camera_inference.frame import Frame
from camera_inference.pictures import decode
from camera_inference.prepare import Preparation
from edgeloop.errors import EdgeloopError
from edgeloop.models.decoders import Decoder
from edgeloop.models.package import listed, pack, unpack
from edgeloop.models.runners import Options, Runner, open_runner
from edgeloop.models.versions import NUMBER

FILE: Final = "gallery.npz"
FORMS: Final = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
_WHOLE: Final = (0.0, 0.0, 1.0, 1.0)


class Gallery:
    """As a context manager. Raises EdgeloopError where the file is no package that compares pictures."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = Path(tempfile.mkdtemp(prefix="edgeloop-gallery-"))
        try:
            self._package = unpack(path, self._folder)
            self._manifest = self._package.manifest
            head = self._manifest.head
            if head is None or head.decoder != "embedding":
                raise EdgeloopError(
                    "this model does not compare pictures", where=str(path), why=f"its task is {self._manifest.task}",
                    mend="make a package of a model that gives a vector: model package --task embedding",
                )  # fmt: skip
            self._file = head.file or FILE
            self._labels = list(self._manifest.labels)
            self._vectors: NDArray[np.float32] = np.zeros((0, 0), np.float32)
            self._names: NDArray[np.int64] = np.zeros(0, np.int64)
            if head.file:
                with np.load(self._package.folder / head.file, allow_pickle=False) as arrays:
                    self._vectors = np.asarray(arrays["gallery"], np.float32)
                    self._names = np.asarray(arrays["names"], np.int64)
        except BaseException:
            self.close()
            raise
        self._runner: Runner | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def classes(self) -> dict[str, int]:
        """Pictures that stand for each."""
        return {label: int((self._names == k).sum()) for k, label in enumerate(self._labels)}

    def add(self, name: str, images: Sequence[Path]) -> int:
        """How many pictures came. Raises EdgeloopError; then nothing has changed."""
        if not name.strip() or len(name) > 64:
            raise EdgeloopError("no name of a class", why=repr(name), mend="1 to 64 characters")
        vectors = [self._vector(path) for path in _pictures(images)]
        if not vectors:
            raise EdgeloopError("there are no pictures", where=", ".join(map(str, images)))
        fresh = np.stack(vectors)
        if self._vectors.size and self._vectors.shape[1] != fresh.shape[1]:
            why = f"{fresh.shape[1]} numbers, {self._vectors.shape[1]} in it"
            raise EdgeloopError("the model's vectors are not those of its gallery", where=str(self._path), why=why)
        if name not in self._labels:
            self._labels.append(name)
        numbers = np.full(len(fresh), self._labels.index(name), np.int64)
        self._vectors = np.concatenate([self._vectors, fresh]) if self._vectors.size else fresh
        self._names = np.concatenate([self._names, numbers])
        return len(fresh)

    def remove(self, name: str) -> int:
        """How many pictures went. Raises EdgeloopError."""
        if name not in self._labels:
            known = ", ".join(self._labels[:10]) or "none"
            raise EdgeloopError("no such class", where=str(self._path), why=name, mend=f"one of {known}")
        place = self._labels.index(name)
        stay = self._names != place
        gone = int((~stay).sum())
        self._vectors, self._names = self._vectors[stay], self._names[stay]
        self._names = self._names - (self._names > place)
        del self._labels[place]
        return gone

    def save(self, out: Path | None, version: str | None) -> tuple[Path, str]:
        """File and digest of the next version. Raises EdgeloopError."""
        manifest = self._manifest
        if not self._labels:
            raise EdgeloopError("nothing would be left", where=str(self._path), mend="keep one class")
        number = version or _next(manifest.version)
        files: dict[str, bytes | Path] = {name: self._package.folder / name for name in manifest.files}
        files[self._file] = _npz({"gallery": self._vectors, "names": self._names})
        assert manifest.head is not None
        made = replace(
            manifest, version=number, labels=tuple(self._labels), files=listed(files),
            head=replace(manifest.head, file=self._file),
        )  # fmt: skip
        target = out or self._path.with_name(f"{manifest.name}-{number}.tar")
        if target.resolve() == self._path.resolve():
            raise EdgeloopError("a version is never changed", where=str(target), mend="name another file with --out")
        try:
            return target, pack(target, made, files)
        except OSError as error:
            raise EdgeloopError("cannot write the package", where=str(target), why=error.strerror or "") from None

    def _vector(self, path: Path) -> NDArray[np.float32]:
        if self._runner is None:
            places = [k for k, v in enumerate(self._manifest.variants) if v.runtime == "onnxruntime"]
            variant = self._manifest.variants[places[0] if places else 0]
            self._runner = open_runner(self._package, variant, Options())
            self._preparation = Preparation(self._manifest, _WHOLE)
            self._decoder = Decoder(self._manifest)
        try:
            image = decode(path.read_bytes(), str(path))
        except OSError as error:
            raise EdgeloopError("cannot read the picture", where=str(path), why=error.strerror or "") from None
        tensor, _ = self._preparation.fill(Frame("", 0, 0, image, "bgr"), self._preparation.buffer())
        vector = self._decoder(list(self._runner.run(tensor))).vector
        assert vector is not None
        return np.asarray(vector, np.float32)


def _pictures(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (p for p in sorted(path.rglob("*")) if p.suffix.lower() in FORMS and p.is_file())
        else:
            yield path


def _next(version: str) -> str:
    """
    >>> _next("1.2.3")
    '1.2.4'
    """
    found = NUMBER.match(version)
    if found is None:
        raise EdgeloopError("the package's version has no next", why=version, mend="name one with --version")
    return f"{found[1]}.{found[2]}.{int(found[3]) + 1}"


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The same bytes for the same arrays."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, values in sorted(arrays.items()):
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(values), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), data.getvalue())
    return made.getvalue()
