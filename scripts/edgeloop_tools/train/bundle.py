"""`sourcedir.tar.gz`: what SageMaker's script mode runs, the same bytes from the same sources."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Final

from edgeloop.errors import EdgeloopError
from edgeloop_tools.build.components import COMPONENTS, LIBRARY
from edgeloop_tools.build.imports import needed

TOOLS: Final = Path(__file__).resolve().parents[1]
REQUIREMENTS: Final = """\
numpy>=1.26
msgspec>=0.19
cbor2>=5.6,<6
awsiotsdk>=1.22,<2
onnx>=1.17
onnxruntime>=1.20
pyarrow>=17
"""
MAIN: Final = """\
import sys

from edgeloop_tools.train.commands import script

if __name__ == "__main__":
    sys.exit(script(sys.argv[1:]))
"""


def bundle(path: Path) -> int:
    """Writes it; its size in bytes. Raises EdgeloopError."""
    data = archive()
    try:
        path.write_bytes(data)
    except OSError as error:
        raise EdgeloopError("cannot write the bundle", where=str(path), why=error.strerror or str(error),
                            mend="name another file") from None  # fmt: skip
    return len(data)


def archive() -> bytes:
    """train.py, requirements.txt, this folder and what it imports of the library and of AnomalyInference."""
    own = {f"edgeloop_tools/train/{p.name}": p.read_bytes() for p in sorted((TOOLS / "train").glob("*.py"))}
    modules = {
        **_sources(LIBRARY, "edgeloop"),
        **_sources(COMPONENTS / "anomaly_inference", "anomaly_inference"),
        **_sources(TOOLS / "build", "edgeloop_tools/build"),
        **{f"edgeloop_tools/{name}": (TOOLS / name).read_bytes() for name in ("tables.py", "extras.py", "checkout.py")},
        "edgeloop_tools/__init__.py": (TOOLS / "__init__.py").read_bytes(),
    }
    files = {
        **own, **{name: modules[name] for name in needed(own, modules)},
        "train.py": MAIN.encode(), "requirements.txt": REQUIREMENTS.encode(),
    }  # fmt: skip
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            tar.addfile(entry, io.BytesIO(files[name]))
    return buffer.getvalue()


def _sources(top: Path, name: str) -> dict[str, bytes]:
    return {f"{name}/{p.relative_to(top)}": p.read_bytes() for p in sorted(top.rglob("*.py"))}
