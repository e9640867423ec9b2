from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import environment
import packages
from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.ipc.backend import MemoryBackend
from edgeloop_tools.core.ipc.server import Server
from environment import MAKING, PROFILES, STAMP, Environments
from requirements import Lock

RUNTIME = Path(environment.__file__).parent
Wheel = Callable[..., str]
NO_ROUTE = ["unshare", "--net"] if os.geteuid() == 0 and shutil.which("unshare") else []
"""Runs a command where there is no network at all, not even loopback."""


def a_lock(line: str, *imports: str) -> Lock:
    return Lock.merge(f"# imports: {' '.join(imports)}\n{line}" if imports else line)


def python_says(folder: Path, code: str) -> str:
    command = [str(folder / "bin" / "python"), "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    return tmp_path / "wheels"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def environments(tmp_path: Path, said: list[str]) -> Environments:
    return Environments(tmp_path / "work", said.append)


def test_an_environment_is_made_beside_and_switched_to(
    environments: Environments, make_wheel: Wheel, wheels: Path, said: list[str]
) -> None:
    one = a_lock(make_wheel("alpha", "1.0", "VALUE = 1"), "alpha")
    folder = environments.install(one, wheels)
    assert environments.link.is_symlink()
    assert environments.link.resolve() == folder
    assert folder.name == f"{one.digest}-{sys.version_info.major}.{sys.version_info.minor}"
    assert python_says(environments.link, "import alpha; print(alpha.VALUE)") == "1"
    assert len(said) == 1

    stamp = (folder / STAMP).stat().st_mtime_ns
    assert environments.install(one, wheels) == folder
    assert (folder / STAMP).stat().st_mtime_ns == stamp
    assert len(said) == 1

    two = a_lock(make_wheel("alpha", "2.0", "VALUE = 2"), "alpha")
    newer = environments.install(two, wheels)
    assert python_says(environments.link, "import alpha; print(alpha.VALUE)") == "2"
    assert environments.before.resolve() == folder
    assert python_says(folder, "import alpha; print(alpha.VALUE)") == "1"

    wheels.rename(wheels.with_name("away"))
    assert environments.install(one, wheels) == folder, "going back needs no wheels"
    assert environments.link.resolve() == folder
    assert environments.before.resolve() == newer

    wheels.with_name("away").rename(wheels)
    newest = environments.install(a_lock(make_wheel("alpha", "3.0")), wheels)
    assert set((environments.work / "venvs").iterdir()) == {folder, newest}, "the current and the one before are kept"


def test_without_a_pip_that_is_new_enough(
    environments: Environments, make_wheel: Wheel, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "own_pip", lambda: (22, 2))
    environments.install(a_lock(make_wheel("alpha"), "alpha"), wheels)
    assert python_says(environments.link, "import alpha; print('there')") == "there"


def test_a_wheelhouse_may_be_a_zip_file_and_gives_only_wheels(
    environments: Environments, make_wheel: Wheel, wheels: Path, tmp_path: Path
) -> None:
    lock = a_lock(make_wheel("alpha"), "alpha")
    house = tmp_path / "wheelhouse.zip"
    with zipfile.ZipFile(house, "w") as archive:
        for wheel in wheels.iterdir():
            archive.write(wheel, wheel.name)
        archive.writestr("../escaped.whl", b"")
        archive.writestr("sub/inner.whl", b"")
    environments.install(lock, house)
    assert not (environments.work / "escaped.whl").exists()
    assert sorted(path.name for path in environments.work.iterdir()) == ["venv", "venvs"]


@pytest.mark.parametrize("data", [b"", b"not a zip file"])
def test_a_broken_wheelhouse_is_one_line(
    environments: Environments, make_wheel: Wheel, tmp_path: Path, data: bytes
) -> None:
    house = tmp_path / "wheelhouse.zip"
    house.write_bytes(data)
    with pytest.raises(EdgeloopError, match=r"cannot read the wheelhouse .*wheelhouse\.zip"):
        environments.install(a_lock(make_wheel("alpha")), house)


class TestWhenItFails:
    """One line, and the environment in use goes on."""

    @pytest.fixture
    def serving(self, environments: Environments, make_wheel: Wheel, wheels: Path) -> Path:
        return environments.install(a_lock(make_wheel("alpha", "1.0"), "alpha"), wheels)

    def fails(self, environments: Environments, serving: Path, lock: Lock, wheels: Path | None, why: str) -> None:
        with pytest.raises(EdgeloopError, match=why) as caught:
            environments.install(lock, wheels)
        assert "\n" not in str(caught.value)
        assert "the previous environment goes on serving" in str(caught.value)
        assert environments.current() == serving
        assert list((environments.work / "venvs").iterdir()) == [serving]

    def test_wrong_hash(self, environments: Environments, serving: Path, wheels: Path) -> None:
        lock = a_lock(f"alpha==1.0 --hash=sha256:{'0' * 64}\n")
        self.fails(environments, serving, lock, wheels, "not the one the lock names")

    def test_no_wheel(self, environments: Environments, serving: Path, wheels: Path) -> None:
        lock = a_lock(f"beta==1.0 --hash=sha256:{'0' * 64}\n")
        self.fails(environments, serving, lock, wheels, r"there is no wheel of beta==1\.0 for Python 3\.")

    def test_no_network(
        self, environments: Environments, serving: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", "https://localhost:9/simple")
        monkeypatch.setenv("PIP_RETRIES", "0")
        lock = a_lock(f"beta==1.0 --hash=sha256:{'0' * 64}\n")
        self.fails(environments, serving, lock, None, "cannot be reached; check the network")

    def test_does_not_import(self, environments: Environments, serving: Path, make_wheel: Wheel, wheels: Path) -> None:
        lock = a_lock(make_wheel("gamma", "1.0", "raise OSError('no libfoo')"), "gamma")
        self.fails(environments, serving, lock, wheels, "does not work .*no libfoo")

    def test_no_room(self, environments: Environments, serving: Path, wheels: Path) -> None:
        lock = Lock("alpha==1.0\n", disk=1 << 60)
        self.fails(environments, serving, lock, wheels, "no room .*MB are needed")

    def test_no_pip_at_all(
        self, environments: Environments, serving: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
        monkeypatch.setattr(packages, "DISTRIBUTION_WHEELS", Path("/nonexistent"))
        monkeypatch.setattr(packages, "own_pip", tuple)
        lock = a_lock(f"beta==1.0 --hash=sha256:{'0' * 64}\n")
        why = r"neither ensurepip nor pip; .*apt-get install python3\.\d+-venv"
        self.fails(environments, serving, lock, wheels, why)

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path, make_wheel: Wheel) -> None:
        (tmp_path / "work").write_text("a file")
        with pytest.raises(EdgeloopError, match="cannot make the work folder"):
            Environments(tmp_path / "work", print).install(a_lock(make_wheel("alpha")))

    def test_wheels_of_another_architecture(
        self, environments: Environments, serving: Path, make_wheel: Wheel, wheels: Path
    ) -> None:
        lock = a_lock(make_wheel("delta"), "delta")
        plain = wheels / "delta-1.0-py3-none-any.whl"
        plain.rename(wheels / "delta-1.0-py3-none-manylinux2014_s390x.whl")
        self.fails(environments, serving, lock, wheels, rf"no wheel of delta==1\.0 .* on {os.uname().machine}")

    def test_killed(self, environments: Environments, serving: Path, make_wheel: Wheel, wheels: Path) -> None:
        text = "# imports: slow\n" + make_wheel("slow", "1.0", "import time\nwhile True: time.sleep(0.02)\n")
        process = started(environments.work, text, wheels)
        deadline = time.monotonic() + 30
        while not list((environments.work / "venvs").glob("*/lib/python*/site-packages/slow.py")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert environments.current() == serving
        assert python_says(environments.link, "import alpha; print('serves')") == "serves"
        newer = environments.install(a_lock(make_wheel("alpha", "2.0"), "alpha"), wheels)
        assert set((environments.work / "venvs").iterdir()) == {serving, newer}, "what was left half-way is gone"


class TestAfterAnUpgradeOfTheSystem:
    def test_the_interpreter_is_linked_under_its_full_name(
        self, environments: Environments, make_wheel: Wheel, wheels: Path
    ) -> None:
        folder = environments.install(a_lock(make_wheel("alpha"), "alpha"), wheels)
        outside = [Path(os.readlink(path)) for path in (folder / "bin").iterdir() if path.is_symlink()]
        outside = [path for path in outside if path.is_absolute() and not path.is_relative_to(folder)]
        assert outside == [folder.joinpath("bin", "python").resolve()]

    @pytest.mark.parametrize("now", ["vanished", "another version"])
    def test_an_environment_without_its_interpreter_is_made_again(
        self, environments: Environments, make_wheel: Wheel, wheels: Path, tmp_path: Path, now: str
    ) -> None:
        lock = a_lock(make_wheel("alpha"), "alpha")
        folder = environments.install(lock, wheels)
        another = tmp_path / "python3.99"
        if now == "another version":
            another.write_text("#!/bin/sh\nexit 1\n")
            another.chmod(0o755)
        for path in (folder / "bin").iterdir():
            if path.name.startswith("python"):
                path.unlink()
                path.symlink_to(another)
        assert environments.current() is None
        assert environments.install(lock, wheels) == folder
        assert python_says(environments.link, "import alpha; print('there')") == "there"

    def test_a_new_version_gets_an_environment_beside_the_old_one(
        self, environments: Environments, make_wheel: Wheel, wheels: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lock = a_lock(make_wheel("alpha"), "alpha")
        newer = environments.folder(lock)
        older = newer.with_name(f"{lock.digest}-3.10")
        monkeypatch.setattr(Environments, "folder", lambda self, lock: older)
        assert environments.install(lock, wheels) == older
        monkeypatch.undo()
        assert environments.install(lock, wheels) == newer
        assert environments.link.resolve() == newer
        assert environments.before.resolve() == older


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_one_line(make_wheel: Wheel, wheels: Path, tmp_path: Path) -> None:
    lock = a_lock(make_wheel("alpha", "1.0", "# " + "x" * 3_000_000))
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=True)
    try:
        with pytest.raises(EdgeloopError, match=r"the disk is full|No space left"):
            Environments(small / "work", print).install(lock, wheels)
        assert list((small / "work" / "venvs").iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


INSTALL = """
import sys
sys.path[:0] = [{runtime!r}]
from pathlib import Path
from environment import Environments
from requirements import Lock
environments = Environments(Path({work!r}), lambda line: print(line, file=sys.stderr))
print(environments.install(Lock.merge({text!r}), Path({wheels!r})))
"""


def started(work: Path, text: str, wheels: Path) -> subprocess.Popen[str]:
    code = INSTALL.format(runtime=str(RUNTIME), work=str(work), text=text, wheels=str(wheels))
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def test_two_at_once_do_the_work_once(make_wheel: Wheel, wheels: Path, tmp_path: Path) -> None:
    text = "# imports: alpha\n" + make_wheel("alpha", "1.0")
    both = [started(tmp_path / "work", text, wheels) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0][0] == outputs[1][0]
    assert sum("making the Python environment" in err for _, err in outputs) == 1


@pytest.mark.parametrize("when", ["venv", "import"])
def test_killed_half_way_it_begins_again(make_wheel: Wheel, wheels: Path, tmp_path: Path, when: str) -> None:
    work, gate = tmp_path / "work", tmp_path / "gate"
    source = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.02)\n"
    text = "# imports: slow\n" + make_wheel("slow", "1.0", source)
    process = started(work, text, wheels)
    folder = work / "venvs"
    awaited = "*/edgeloop.making" if when == "venv" else "*/lib/python*/site-packages/slow.py"
    deadline = time.monotonic() + 30
    while not list(folder.glob(awaited)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (work / "venv").exists()
    threading.Timer(0.5, gate.touch).start()
    again = started(work, text, wheels)
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    made = Path(out.strip())
    assert (work / "venv").resolve() == made
    assert (made / STAMP).exists()
    assert not (made / MAKING).exists()


@contextmanager
def served(socket: Path, backend: MemoryBackend) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = Server(socket, backend, "classic")
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(60)
    serving = asyncio.run_coroutine_threadsafe(server.serve(), loop)
    try:
        yield
    finally:
        serving.cancel()
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)


class TestProgram:
    """components/runtime as the nucleus runs it, with its own locks replaced by small ones."""

    @pytest.fixture
    def program(self, tmp_path: Path, make_wheel: Wheel) -> Path:
        copy = tmp_path / "program"
        shutil.copytree(RUNTIME, copy, ignore=shutil.ignore_patterns("__pycache__"))
        core, vision = make_wheel("alpha"), make_wheel("beta")
        for profile, text in (("core", core), ("vision", core + vision), ("upload", core), ("neo", core)):
            (copy / "locks" / f"{profile}.txt").write_text(text)
        (tmp_path / "wheels").rename(copy / "wheelhouse")
        patient = (copy / "commands.py").read_text()
        (copy / "commands.py").write_text(patient.replace("TIMEOUT = 30.0", "TIMEOUT = 3.0"))
        return copy

    def run(
        self, program: Path, *arguments: str, before: Sequence[str] = (), **environ: str
    ) -> subprocess.CompletedProcess[str]:
        base = {k: v for k, v in os.environ.items() if k not in ("SVCUID", "PYTHONPATH")}
        command = [*before, sys.executable, "-S", str(program / "__main__.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=base | environ)

    def test_install_from_the_wheelhouse_beside_it_and_a_profile_more(self, program: Path, tmp_path: Path) -> None:
        done = self.run(program, "install", "--root", str(tmp_path / "root"), before=NO_ROUTE)
        assert done.returncode == 0, done.stderr
        venv = tmp_path / "root" / "work" / "io.edgeloop.Runtime" / "venv"
        assert python_says(venv, "import alpha; print('there')") == "there"
        again = self.run(program, "install", "--root", str(tmp_path / "root"))
        assert again.returncode == 0
        assert len(again.stderr.splitlines()) == 1
        assert (venv / PROFILES).read_text() == "core"

        words = "install", "--root", str(tmp_path / "root"), "--profiles", "vision"
        more = self.run(program, *words, before=NO_ROUTE)
        assert more.returncode == 0, more.stderr
        assert python_says(venv, "import alpha, beta; print('there')") == "there"

    def test_what_serves_goes_on_where_the_nucleus_does_not_answer(
        self, program: Path, tmp_path: Path
    ) -> None:
        root = str(tmp_path / "root")
        assert self.run(program, "install", "--root", root, "--profiles", "vision").returncode == 0
        unanswered = {"SVCUID": "token", "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(tmp_path / "none")}
        done = self.run(program, "install", "--root", root, **unanswered)
        assert (done.returncode, done.stderr.count("goes on serving")) == (0, 1), done.stderr
        venv = tmp_path / "root" / "work" / "io.edgeloop.Runtime" / "venv"
        assert python_says(venv, "import beta; print('there')") == "there"

    def test_a_nucleus_that_does_not_answer_leaves_core(self, program: Path, tmp_path: Path) -> None:
        socket = str(tmp_path / "no.socket")
        done = self.run(
            program, "install", "--root", str(tmp_path / "root"),
            SVCUID="token", AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT=socket,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "installing core only" in done.stderr

    def test_profiles_from_the_nucleus(self, program: Path, tmp_path: Path) -> None:
        """One environment, whole before it is linked: read without one."""
        backend = MemoryBackend()
        defaults = {"profiles": "core, vision and", "wheelhouse": "", "accessControl": {}}
        token = backend.add("io.edgeloop.Runtime", {}, defaults)
        socket = tmp_path / "s"
        with served(socket, backend):
            done = self.run(
                program, "install", "--root", str(tmp_path / "root"),
                SVCUID=token, AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT=str(socket),
            )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "no such profile (profiles): 'and'" in done.stderr
        assert done.stderr.count("making the Python environment") == 1
        assert len(list((tmp_path / "root" / "work" / "io.edgeloop.Runtime" / "venvs").iterdir())) == 1
        venv = tmp_path / "root" / "work" / "io.edgeloop.Runtime" / "venv"
        assert python_says(venv, "import alpha, beta; print('there')") == "there"

    def test_failure_is_one_line(self, program: Path, tmp_path: Path) -> None:
        (program / "locks" / "core.txt").write_text(f"beta==9 --hash=sha256:{'0' * 64}\n")
        done = self.run(program, "install", "--root", str(tmp_path / "root"))
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("io.edgeloop.Runtime: cannot install the Python packages")
        assert "Traceback" not in done.stderr

    def test_a_wheelhouse_for_another_architecture_is_said(self, program: Path, tmp_path: Path) -> None:
        shutil.move(program / "wheelhouse", tmp_path / "wheels")
        (program / "wheelhouse-s390x.zip").touch()
        done = self.run(
            program, "install", "--root", str(tmp_path / "root"), "--profiles", "core",
            PIP_FIND_LINKS=str(tmp_path / "wheels"), PIP_NO_INDEX="1",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert f"wheelhouse-s390x.zip is not for {os.uname().machine}" in done.stderr.splitlines()[0]

    def test_wrong_use(self, program: Path) -> None:
        assert self.run(program, "install").returncode == 2
        assert self.run(program).returncode == 2



def test_the_locks_name_their_imports_and_sizes() -> None:
    for path in sorted((RUNTIME / "locks").glob("*.txt")):
        lock = Lock.merge(path.read_text())
        assert "numpy" in lock.imports
        assert 10**6 < lock.download < lock.disk
        assert all("--hash=sha256:" in line for line in lock.text.splitlines())
