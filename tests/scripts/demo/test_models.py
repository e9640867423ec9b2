"""The packages that the demo offers to ModelUpdate."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeloop.models.golden import worst
from edgeloop.models.package import unpack
from edgeloop.models.runners import open_runner
from edgeloop_tools.build.model import path
from edgeloop_tools.demo.models import candidates


@pytest.mark.parametrize("which", ["bad", "good"])
def test_one_does_not_keep_its_golden_set_and_the_other_does(tmp_path: Path, which: str) -> None:
    bad, good = candidates("visual_inspection", tmp_path / "offered")
    chosen = bad if which == "bad" else good
    package = unpack(chosen.path, tmp_path / "store", chosen.digest)
    assert package.manifest.version == chosen.version
    runner = open_runner(package, package.manifest.variants[0])
    case = package.cases()[0]
    ratio = worst(case, runner.run(case.inputs), package.manifest.golden)
    runner.close()
    assert (ratio > 1) == (which == "bad")


def test_whoever_runs_the_components_may_read_them(tmp_path: Path) -> None:
    default = path("visual_inspection").read_bytes()
    for one in candidates("visual_inspection", tmp_path / "offered"):
        assert one.path.stat().st_mode & 0o004
        assert one.path.parent.stat().st_mode & 0o005 == 0o005
        assert one.desired() == {"uri": one.path.as_uri(), "digest": f"sha256:{one.digest}"}
        assert one.path.read_bytes() != default
