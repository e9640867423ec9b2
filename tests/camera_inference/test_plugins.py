"""A camera source that lives outside the tree, in a real CameraInference."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from edgeloop_tools.plugin.cases import check
from edgeloop_tools.plugin.scaffold import make


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that the user of a process may not write")
def test_parts_come_from_outside_the_tree(plant: Any, tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="plugins-"))
    try:
        assert check(make("camera", "bar", folder), tmp_path) == 2
        uri = "bar:?width=320&height=240&period=0.2"
        plant.configure(plugins=str(folder), cameras={"belt": {"uri": uri, "policy": "every", "deadline": "5 s"}})
        plant.start()
        plant.wait(lambda: {"p0", "p1", "p2"} <= {result["part"] for result in plant.results()})
    finally:
        shutil.rmtree(folder)
