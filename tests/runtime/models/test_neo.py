"""The real dlr 1.6.0, from its lock, which exists for x86-64 alone."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeloop.models import ModelError, ModelRefused, golden, store
from edgeloop.models.active import ActiveModel
from edgeloop.models.golden import Case
from edgeloop.models.manifest import Golden, Manifest, Tensor, Variant
from edgeloop.models.package import Package, listed, pack, unpack
from edgeloop.models.proof import Prover
from edgeloop.models.runners import Options, neo, open_runner
from edgeloop.models.runners.neo import NeoRunner
from edgeloop.models.store import Ref, Shelf
from edgeloop.models.watch import Watched

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="dlr has a library for x86-64 alone")

LOCK = Path(__file__).parents[3] / "components" / "runtime" / "locks" / "neo.txt"
WEIGHTS = np.arange(12, dtype=np.float32).reshape(3, 4) - 5

_spec = importlib.util.spec_from_file_location("neo_model", Path(__file__).with_name("neo_model.py"))
assert _spec is not None
assert _spec.loader is not None
neo_model = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(neo_model)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with dlr as the lock has it; numpy and the rest come from ours."""
    folder = tmp_path_factory.mktemp("dlr")
    found = re.search(r"^dlr==(?:.*\\\n)*.*", LOCK.read_text(), re.M)
    assert found is not None
    requirements = folder / "lock.txt"
    requirements.write_text(found[0] + "\n")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install", "--quiet"]
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(requirements)]
    done = subprocess.run([*pip, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return python


@pytest.fixture
def dlr(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(installed))


def build(folder: Path, change: Any = lambda files: None, factor: float = 1.0, **changes: Any) -> Package:
    weights = np.float32(factor) * WEIGHTS
    files = neo_model.files(weights)
    random = np.random.default_rng(7)
    inputs = [random.normal(size=(1, 4)).astype(np.float32) for _ in range(5)]
    files["golden.npz"] = golden.encode([Case({"x": x}, [x @ weights.T]) for x in inputs])
    change(files)
    fields: dict[str, Any] = {
        "schema": 1,
        "name": "dense",
        "version": "1.0.0",
        "task": "regression",
        "files": listed(files),
        "variants": (Variant(runtime="dlr", path="neo", architecture="x86_64"),),
        "inputs": (Tensor(name="x", dtype="float32", shape=(1, 4)),),
        "outputs": (Tensor(name="y", dtype="float32", shape=(1, 3)),),
        "golden": Golden(absolute=1e-5),
        **changes,
    }
    path = folder / "dense.tar"
    return unpack(path, folder / "models", pack(path, Manifest(**fields), files))


def start(package: Package, **options: Any) -> NeoRunner:
    runner = open_runner(package, package.manifest.variants[0], Options(**options))
    assert isinstance(runner, NeoRunner)
    return runner


def tensor(*shape: int, name: str = "x", dtype: Any = "float32") -> dict[str, Any]:
    return {"inputs": (Tensor(name=name, dtype=dtype, shape=shape),)}


def test_a_worker_gives_what_the_model_says(dlr: None, tmp_path: Path) -> None:
    package = build(tmp_path)
    runner = start(package)
    for case in package.cases():
        (output,) = runner.run(case.inputs["x"])
        np.testing.assert_allclose(output, case.outputs[0], rtol=1e-5, atol=1e-5)
    threads = [line for line in Path(f"/proc/{runner.pid}/status").read_text().splitlines() if "Threads" in line]
    assert threads == ["Threads:\t2"], "its own, and the one that waits for the end"
    environment = Path(f"/proc/{runner.pid}/environ").read_text().split("\0")
    assert "OMP_NUM_THREADS=1" in environment
    assert not [line for line in environment if line.startswith(("SVCUID", "AWS"))]
    maps = Path(f"/proc/{runner.pid}/maps").read_text()
    assert f"{package.folder}/neo/compiled.so" in maps, "loaded from the folder named by the digest"
    pid = runner.pid
    runner.close()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(ModelError, match="closed"):
        runner.run(package.cases()[0].inputs)


def test_nothing_phones_home(installed: Path) -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('the network is used')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from edgeloop.models.runners import neo_worker\n"
        "neo_worker.silence()\n"
        "import dlr\n"
        "assert 'requests' not in sys.modules and 'dlr.counter.phone_home' not in sys.modules\n"
        "assert dlr.DLRModel.__init__.__module__ == 'dlr.api'\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([installed, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


def test_a_crash_is_one_line_and_the_worker_comes_back(
    dlr: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neo, "FIRST_PAUSE", 25)
    package = build(tmp_path)
    runner = start(package)
    case = package.cases()[0]
    with pytest.raises(ModelError, match="the model's process has crashed: killed by SIGSEGV") as caught:
        runner.run(np.full((1, 4), 2e30, np.float32))
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match=r"it starts again in (2\d|1\d|\d)\."):
        runner.run(case.inputs)
    runner._pause._until = 0.0
    np.testing.assert_allclose(runner.run(case.inputs)[0], case.outputs[0], rtol=1e-5, atol=1e-5)
    assert runner.restarts == 1
    assert runner.pid is not None
    os.kill(runner.pid, signal.SIGKILL)
    with pytest.raises(ModelError, match="SIGKILL"):
        runner.run(case.inputs)
    with pytest.raises(ModelError, match=r"it starts again in (50|[34]\d)\."):
        runner.run(case.inputs)
    runner.close()


def test_a_worker_ends_with_its_component(dlr: None, tmp_path: Path) -> None:
    package = build(tmp_path)
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from edgeloop.models.package import open_package\n"
        "from edgeloop.models.runners import open_runner\n"
        "package = open_package(Path(sys.argv[1]))\n"
        "print(open_runner(package, package.manifest.variants[0]).pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(package.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    deadline = time.monotonic() + 60
    while running(int(done.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def running(pid: int) -> bool:
    """Whether the process is there, and no corpse that nobody has collected."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_worker_that_hangs_is_ended(dlr: None, tmp_path: Path) -> None:
    runner = start(build(tmp_path), timeout=60.0)
    pid = runner.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    runner._timeout = 0.2
    with pytest.raises(ModelError, match=r"nothing came within 0\.2 s"):
        runner.run(np.zeros((1, 4), np.float32))
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.update({"neo/compiled.so": f["neo/compiled.so"][:1500]}), "dlr cannot load the model"),
        (lambda f: f.update({"neo/compiled.params": b"\0" * 200}), "dlr cannot load the model"),
        (lambda f: f.update({"neo/compiled_model.json": b"{}"}), "dlr cannot load the model"),
        (lambda f: f.pop("neo/compiled.so"), "dlr cannot load the model"),
        (lambda f: f.update({"neo/other.so": b"\x7fELF"}), "dlr cannot load the model"),
    ],
    ids=["cut code", "no parameters", "no graph", "no code", "two libraries"],
)
def test_a_folder_that_is_no_good_is_refused_in_one_line(dlr: None, tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(ModelRefused, match=words) as caught:
        start(build(tmp_path, change))
    assert "\n" not in str(caught.value)
    assert caught.value.why


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (tensor(1, 4, name="z"), "its inputs are x, the manifest says z"),
        (tensor(1, 4, name="w"), "its inputs are x, the manifest says w"),
        (tensor(1, 4, dtype="float64"), "its input x is float32, the manifest says float64"),
        ({"inputs": (Tensor(name="x", dtype="float32", shape=("n", 4)),)}, "no free extents"),
    ],
)
def test_a_model_that_is_not_as_its_manifest_says_is_refused(
    dlr: None, tmp_path: Path, changes: Any, words: str
) -> None:
    with pytest.raises(ModelRefused, match=words):
        start(build(tmp_path, **changes))


def test_outputs_are_checked(dlr: None, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"y has shape \(1, 3\), \(1, 2\) is expected"):
        start(build(tmp_path, outputs=(Tensor(name="y", dtype="float32", shape=(1, 2)),)))


def test_without_dlr_it_is_no_fault_of_the_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="running a Neo model needs dlr.*add 'neo' to profiles") as caught:
        start(build(tmp_path))
    assert not isinstance(caught.value, ModelRefused)


def test_it_is_proved_like_any_other(dlr: None, tmp_path: Path) -> None:
    package = build(tmp_path)
    good = Prover().prove(package, package.manifest.variants[0])
    assert (good.error, good.agreement) == ("", 1.0)
    package = build(tmp_path, lambda f: f.update({"neo/compiled.params": b"\0" * 200}))
    bad = Prover().prove(package, package.manifest.variants[0])
    assert "dlr cannot load the model" in bad.error
    assert bad.final


def test_a_swap_runs_the_new_code_while_the_old_lives(dlr: None, tmp_path: Path) -> None:
    shelf = Shelf(store.directory(tmp_path, "dense"), "dense")
    x = np.ones((1, 4), np.float32)

    def activate(factor: float) -> None:
        package = build(tmp_path, factor=factor)
        package.folder.rename(shelf.folder / package.digest)
        shelf.activate(Ref(digest=package.digest, version="1.0.0"), time.time_ns())

    activate(1)
    with ActiveModel("dense", "io.edgeloop.AnomalyInference", tmp_path) as active:
        old = active.current
        assert old is not None
        activate(2)
        active.notice()
        deadline = time.monotonic() + 60
        while active.current is old:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        new = active.current
        assert new is not None
        np.testing.assert_array_equal(new.runner.run(x)[0], x @ (2 * WEIGHTS.T))
        np.testing.assert_array_equal(old.runner.run(x)[0], x @ WEIGHTS.T)
        assert isinstance(old.runner, Watched)
        assert isinstance(old.runner.runner, NeoRunner)
        pid = old.runner.runner.pid
        del old
        assert not Path(f"/proc/{pid}").exists(), "nobody holds it any more"
