"""A model package as the store would serve it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from edgeloop.detect.models import Serving
from edgeloop.errors import EdgeloopError
from edgeloop.models.manifest import Manifest
from edgeloop.models.package import unpack
from edgeloop.models.runners import Options, open_runner
from edgeloop.models.scoring import WindowScorer

_kept: list[tempfile.TemporaryDirectory[str]] = []


def served(path: Path) -> Serving:
    """Raises EdgeloopError where it is no package that scores time series."""
    if not path.is_file():
        raise EdgeloopError("no such package", where=str(path), mend="name the file that `model package` wrote")
    folder = tempfile.TemporaryDirectory(prefix="edgeloop-model-")
    _kept.append(folder)
    package = unpack(path, Path(folder.name))
    manifest: Manifest = package.manifest
    runner = open_runner(package, manifest.variants[0], Options())
    return Serving(
        key=package.digest,
        manifest=manifest,
        scorer=lambda: WindowScorer(manifest, runner),
        used=lambda: None,
        failed=lambda: None,
    )
