from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeloop_tools.demo import player

PROGRAM = Path(player.__file__)


def rows(files: list[Path], count: int, *options: str) -> tuple[dict[str, object], np.ndarray]:
    command = [
        sys.executable,
        str(PROGRAM),
        "--rate",
        "20000",
        "--channels",
        "drive,fan",
        "--unit",
        "[g]",
        *map(str, files),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        header = json.loads(child.stdout.readline())
        data = child.stdout.read(count * 8)
        child.stdout.close()
        assert child.wait(60) == 0
    return header, np.frombuffer(data, dtype="<f4").reshape(-1, 2)


def test_recordings_come_in_order_and_the_last_repeats(tmp_path: Path) -> None:
    first = np.arange(6000, dtype=np.float32).reshape(-1, 2)
    second = -np.arange(2000, dtype=np.float32).reshape(-1, 2)
    np.save(tmp_path / "a.npy", first)
    np.save(tmp_path / "b.npy", second)
    header, got = rows([tmp_path / "a.npy", tmp_path / "b.npy"], 5000)
    assert header == {"rate": 20000.0, "dtype": "<f4", "channels": {"drive": "[g]", "fan": "[g]"}}
    assert np.array_equal(got, np.concatenate([first, second, second]))


@pytest.mark.parametrize("content", [b"no array", b"", np.arange(6.0).tobytes()])
def test_what_is_no_array_is_one_line(tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "bad.npy"
    bad.write_bytes(content)
    command = [sys.executable, str(PROGRAM), "--rate", "100", "--channels", "x", str(bad)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "bad.npy" in done.stderr


def test_column_major_and_odd_types_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.asfortranarray(np.ones((4, 3))))
    np.save(tmp_path / "c.npy", np.ones(4, dtype=complex))
    with pytest.raises(ValueError, match="column-major"):
        player.read(str(tmp_path / "f.npy"))
    with pytest.raises(ValueError, match="float32"):
        player.read(str(tmp_path / "c.npy"))
