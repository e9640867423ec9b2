"""Zip applications: a component's package and what it uses of the library, the same bytes from the same sources.

Documentation strings stay behind: they are a fifth of an archive.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from edgeloop.config.declaration import Declaration
from edgeloop.errors import EdgeloopError
from edgeloop_tools.build.components import LIBRARIES, RUNTIME, folder
from edgeloop_tools.build.imports import needed
from edgeloop_tools.build.lean import lean

LIMIT = 300_000
"""Bytes of one archive."""
EPOCH = (1980, 1, 1, 0, 0, 0)
LEFT_OUT = {".pyc", ".pyo", ".md", ".svg", ".png", ".yaml"}
MAIN = """\
import sys

from {package}.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
"""


def pyz(declaration: Declaration[Any]) -> bytes:
    """The archive of one component. Runtime's is its folder as it stands, which starts before anything is installed.

    Raises EdgeloopError above LIMIT.
    """
    library = {f"{top.name}/{name}": path.read_bytes() for top in LIBRARIES for name, path in _sources(top).items()}
    own = {name: path.read_bytes() for name, path in _sources(folder(declaration)).items()}
    if declaration.name == RUNTIME:
        files = {name: data for name, data in own.items() if name.partition("/")[0] not in {t.name for t in LIBRARIES}}
    else:
        files = {f"{declaration.package}/{name}": data for name, data in own.items()}
        files["__main__.py"] = MAIN.format(package=declaration.package).encode()
    files |= {name: library[name] for name in needed(files, library)}
    data = _zip({name: lean(data) if name.endswith(".py") else data for name, data in files.items()})
    if len(data) > LIMIT:
        largest = max(files, key=lambda name: len(files[name]))
        why = f"{len(data):,} B of at most {LIMIT:,}; the largest file is {largest}"
        raise EdgeloopError("the archive is too large", where=f"{declaration.package}.pyz", why=why)
    return data


def _sources(top: Path) -> dict[str, Path]:
    """Relative name → file, without caches, documentation and samples."""
    return {
        str(path.relative_to(top)): path
        for path in top.rglob("*")
        if path.is_file()
        and path.suffix not in LEFT_OUT
        and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(top).parts)
    }


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name], compresslevel=9)
    return buffer.getvalue()
