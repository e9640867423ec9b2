"""A package becomes active on a local core: ModelUpdate is told what is wanted, and does the rest."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final

from edgeloop.errors import EdgeloopError
from edgeloop.models import store
from edgeloop_tools.core.client import CoreClient
from edgeloop_tools.core.daemon import default_root

UPDATE: Final = "io.edgeloop.ModelUpdate"
CAMERAS: Final = "io.edgeloop.CameraInference"
PATIENCE: Final = 300.0


def activate(name: str, package: Path, digest: str, camera: str, root: Path | None, quiet: bool) -> None:
    """Raises EdgeloopError where no core runs, where it has no ModelUpdate, and where the model is refused."""
    where = root or default_root()
    core = CoreClient(where)
    running = {each.name: each for each in core.components()}
    if UPDATE not in running:
        raise EdgeloopError("nobody here takes a model", where=str(where), why=f"{UPDATE} is not deployed",
                            mend="deploy it, or publish the package")  # fmt: skip
    package = package.absolute()
    os.chmod(package, 0o644)
    merge: dict[str, dict[str, Any]] = {
        UPDATE: {"models": {name: {"uri": package.as_uri(), "digest": f"sha256:{digest}"}}}
    }
    if camera:
        if camera not in running[CAMERAS].configuration.get("cameras", {}) if CAMERAS in running else True:
            raise EdgeloopError("there is no such camera", where=str(where), why=camera, mend="see `edgeloop status`")
        merge[CAMERAS] = {"cameras": {camera: {"model": name}}}
    roots = {each: running[each].version for each in merge}
    core.wait(core.deploy(components=roots, merge=merge), timeout=PATIENCE)
    folder, end = store.directory(where, name), time.monotonic() + PATIENCE
    while time.monotonic() < end:
        pointer = store.read(folder)
        if pointer is not None and pointer.active is not None and pointer.active.digest == digest:
            if not quiet:
                print(f"{name} is active ({pointer.state})")
            return
        time.sleep(0.2)
    raise EdgeloopError("the model did not become active", where=name, why=f"not within {PATIENCE:g} s",
                        mend=f"see `edgeloop logs {UPDATE}`")  # fmt: skip
