"""Every shipped analysis asks DuckDB and Spark the same: keys equal, numbers within 1e-9.

Spark needs PySpark and Java beside the packages of `analytics`: EDGELOOP_SPARK=<the Python that has them>."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeloop.errors import EdgeloopError
from edgeloop_tools.analyse.engines import opened

HERE = Path(__file__).resolve()
SPARK = os.environ.get("EDGELOOP_SPARK") or (sys.executable if importlib.util.find_spec("pyspark") else "")
ASKED = {
    "anomaly": [], "cluster": [], "compare": [], "forecast": ["limit=6"], "quality": [],
}  # fmt: skip


def test_an_engine_that_is_not_there_is_one_line() -> None:
    with pytest.raises(EdgeloopError, match="no such engine"), opened("abacus"):
        pass
    if not importlib.util.find_spec("pyspark"):
        with pytest.raises(EdgeloopError, match="PySpark is not there"), opened("spark"):
            pass


@pytest.mark.skipif(not SPARK, reason="needs PySpark: EDGELOOP_SPARK=<its interpreter>")
def test_spark_answers_as_duckdb_does(tmp_path: Path) -> None:
    paths = [str(HERE.parents[3] / p) for p in ("components", "components/runtime", "scripts")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [SPARK, str(HERE), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("equal") == len(ASKED)


def compared(folder: Path) -> None:
    """In an environment with PySpark: prints a line for each analysis."""
    import numpy as np

    from edgeloop_tools.analyse.analyses.anomaly import sample as machines
    from edgeloop_tools.analyse.analyses.quality import sample as answers
    from edgeloop_tools.analyse.definition import load
    from edgeloop_tools.analyse.run import asked
    from edgeloop_tools.lake.compact import compact

    machines.make(folder / "up")
    answers.make(folder / "up")
    compact(str(folder / "up"), folder)
    for name, given in ASKED.items():
        analysis = load(name)
        parameters = analysis.parameters(given)
        frames = [asked(analysis, folder, parameters, engine=engine) for engine in ("duckdb", "spark")]
        (one, looked), (other, same) = frames
        assert looked == same
        assert list(one.columns) == list(other.columns)
        assert len(one) == len(other) > 0
        for column in one.columns:
            a, b = one[column], other[column]
            if a.dtype.kind in "fiu":
                np.testing.assert_allclose(b.to_numpy(float), a.to_numpy(float), rtol=1e-9, atol=1e-12)
            else:
                assert [str(x) if x == x else "" for x in a] == [str(x) if x == x else "" for x in b], column
        print(f"{name}: {len(one)} rows, {len(one.columns)} columns: equal", flush=True)


if __name__ == "__main__":
    compared(Path(sys.argv[1]))
