"""Environments beside each other: links, growth, cuts and going back, with small wheels."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import packages
from environment import MAKING, PROFILES, Environments
from requirements import Lock

RUNTIME = Path(packages.__file__).parent
Wheel = Callable[..., str]
INSTALL = """
import sys
sys.path[:0] = [{runtime!r}]
from pathlib import Path
from environment import Environments
from requirements import Lock
Environments(Path({work!r}), print).install(Lock.merge({text!r}), Path({wheels!r}))
"""


@pytest.fixture
def environments(tmp_path: Path) -> Environments:
    return Environments(tmp_path / "work", lambda line: None)


def says(folder: Path, code: str) -> str:
    command = [str(folder / "bin" / "python"), "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def inode(folder: Path, name: str) -> int:
    return (packages.site(folder) / name).stat().st_ino


def command(work: Path, text: str, wheels: Path) -> list[str]:
    code = INSTALL.format(runtime=str(RUNTIME), work=str(work), text=text, wheels=str(wheels))
    return [sys.executable, "-c", code]


class TestWhatStaysTheSame:
    def test_is_linked_and_needs_no_wheel(self, environments: Environments, make_wheel: Wheel, tmp_path: Path) -> None:
        wheels = tmp_path / "wheels"
        alpha = make_wheel("alpha", "1.0", "VALUE = 1")
        one = environments.install(Lock.merge(alpha + make_wheel("beta", "1.0")), wheels)
        later = Lock.merge(alpha + make_wheel("beta", "2.0", "VALUE = 2"))
        (wheels / "alpha-1.0-py3-none-any.whl").unlink()
        two = environments.install(later, wheels)
        assert inode(one, "alpha.py") == inode(two, "alpha.py")
        assert inode(one, "beta.py") != inode(two, "beta.py")
        assert says(two, "import alpha, beta; print(alpha.VALUE, beta.VALUE)") == "1 2"
        assert "VALUE" not in says(one, "import beta; print(vars(beta).keys())")

    def test_another_build_of_the_same_version_is_not(
        self, environments: Environments, make_wheel: Wheel, tmp_path: Path
    ) -> None:
        one = environments.install(Lock.merge(make_wheel("alpha", "1.0", "VALUE = 1")), tmp_path / "wheels")
        two = environments.install(Lock.merge(make_wheel("alpha", "1.0", "VALUE = 2")), tmp_path / "wheels")
        assert says(one, "import alpha; print(alpha.VALUE)") == "1"
        assert says(two, "import alpha; print(alpha.VALUE)") == "2"

    def test_goes_without_where_the_file_system_has_no_links(
        self, environments: Environments, make_wheel: Wheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alpha = make_wheel("alpha")
        environments.install(Lock.merge(alpha), tmp_path / "wheels")

        def refused(source: Path, target: Path) -> None:
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refused)
        two = environments.install(Lock.merge(alpha + make_wheel("beta")), tmp_path / "wheels")
        assert says(two, "import alpha, beta; print('both')") == "both"


class TestGoingBack:
    def test_previous_is_the_version_before_whatever_grew_since(
        self, environments: Environments, make_wheel: Wheel, tmp_path: Path
    ) -> None:
        wheels = tmp_path / "wheels"
        old = Lock.merge(make_wheel("alpha", "1.0"))
        new = make_wheel("alpha", "2.0", "VALUE = 2")
        first = environments.install(old, wheels)
        second = environments.install(Lock.merge(new), wheels)
        grown = environments.install(Lock.merge(new + make_wheel("beta")), wheels, ["core", "more"])
        assert environments.before.resolve() == first
        assert set(environments.all.iterdir()) == {first, grown}
        assert (grown / PROFILES).read_text() == "core more"

        shutil.rmtree(wheels)
        assert environments.install(old, wheels) == first
        assert environments.before.resolve() == grown
        assert environments.install(Lock.merge(new), wheels) == second, "what shrank is made of links"

    @pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="a network namespace needs root")
    def test_needs_no_network_and_no_time(self, environments: Environments, make_wheel: Wheel, tmp_path: Path) -> None:
        wheels = tmp_path / "wheels"
        old, new = make_wheel("alpha", "1.0"), make_wheel("alpha", "2.0")
        first = environments.install(Lock.merge(old), wheels)
        environments.install(Lock.merge(new), wheels)
        started = time.monotonic()
        words = command(environments.work, old, tmp_path / "gone")
        done = subprocess.run(["unshare", "--net", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert environments.current() == first
        print(f"back in {time.monotonic() - started:.2f} s")

    def test_what_a_process_has_open_stays(self, environments: Environments, make_wheel: Wheel, tmp_path: Path) -> None:
        one = environments.install(Lock.merge(make_wheel("alpha", "1.0")), tmp_path / "wheels")
        held = packages.site(one) / "alpha.py"
        held.write_text("1")
        code = "import mmap, sys\nf = open(sys.argv[1])\nm = mmap.mmap(f.fileno(), 0, access=1)\nprint(1, flush=True)\n"
        command = [sys.executable, "-c", code + "input()", held]
        holder = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            for version in ("2.0", "3.0"):
                environments.install(Lock.merge(make_wheel("alpha", version)), tmp_path / "wheels")
            assert one.exists()
        finally:
            holder.kill()
            holder.wait()
            holder.stdout.close()
            assert holder.stdin is not None
            holder.stdin.close()
        environments.install(Lock.merge(make_wheel("alpha", "4.0")), tmp_path / "wheels")
        assert not one.exists()


def test_a_package_that_was_cut_short_is_installed_again(
    environments: Environments, make_wheel: Wheel, tmp_path: Path
) -> None:
    lock = Lock.merge(make_wheel("alpha", "1.0", "VALUE = 1") + make_wheel("beta", "1.0", "VALUE = 1"))
    folder = environments.install(lock, tmp_path / "wheels")
    (folder / MAKING).touch()
    kept = inode(folder, "beta.py")
    (packages.site(folder) / "alpha.py").write_text("")
    (folder / "edgeloop.tmp").mkdir()
    assert environments.install(lock, tmp_path / "wheels") == folder
    assert says(folder, "import alpha; print(alpha.VALUE)") == "1"
    assert inode(folder, "beta.py") == kept, "what is whole is not fetched again"
    assert not (folder / "edgeloop.tmp").exists()


class TestALargeWheel:
    """Unpacked by the installer, from its end, while the file gets shorter."""

    @pytest.fixture
    def lock(self, tmp_path: Path) -> Lock:
        """Of a package of 12 MB, half of it noise, with a program and a module."""
        dice = random.Random(4)
        files = {f"large/{n}.bin": dice.randbytes(1 << 20) + bytes(1 << 20) for n in range(6)}
        files |= {
            "large/__init__.py": b"VALUE = 5\ndef main():\n    print('program', VALUE)\n",
            "large/tool.so": b"x",
            "large-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: large\nVersion: 1.0\n",
            "large-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "large-1.0.dist-info/entry_points.txt": b"[console_scripts]\nlarge-tool = large:main\n",
        }
        path = tmp_path / "wheels" / "large-1.0-py3-none-any.whl"
        path.parent.mkdir(exist_ok=True)
        record = "large-1.0.dist-info/RECORD,,\n"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                member = zipfile.ZipInfo(name)
                member.compress_type = zipfile.ZIP_DEFLATED
                member.external_attr = (0o100755 if name.endswith(".so") else 0o100644) << 16
                archive.writestr(member, data)
                digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                record = f"{name},sha256={digest},{len(data)}\n" + record
            archive.writestr("large-1.0.dist-info/RECORD", record)
        text = f"large==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        return Lock(text, imports=("large",), sizes={"large": (6_000_000, 8_000_000)})

    def test_is_what_pip_would_have_made(self, environments: Environments, lock: Lock, tmp_path: Path) -> None:
        wheels = tmp_path / "wheels"
        ours = environments.install(lock, wheels)
        pips = Environments(tmp_path / "another", print).install(Lock(lock.text, lock.imports), wheels)

        def content(folder: Path) -> dict[str, tuple[int, bytes]]:
            paths = [path for path in (folder / "lib").rglob("*") if path.is_file()]
            paths = [path for path in paths if path.name not in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")]
            found = {}
            for path in paths:
                data = b"" if path.suffix == ".pyc" else path.read_bytes()
                found[str(path.relative_to(folder))] = path.stat().st_mode, data
            return found

        assert content(ours) == content(pips)
        assert (ours / "lib").is_dir()
        program = subprocess.run([ours / "bin" / "large-tool"], capture_output=True, text=True, check=True)
        assert program.stdout == "program 5\n"
        assert (packages.site(ours) / "large-1.0.dist-info" / "INSTALLER").read_text() == "edgeloop\n"
        assert list(packages.installed(ours)) == ["large==1.0"]
        (ours / MAKING).touch()
        packages.forget_damaged(ours)
        assert list(packages.installed(ours)) == ["large==1.0"], "every file is as its RECORD says"
        assert (wheels / "large-1.0-py3-none-any.whl").stat().st_size > 6_000_000, "a wheelhouse stays"

    @pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
    def test_takes_the_room_of_its_content_alone(self, lock: Lock, tmp_path: Path) -> None:
        small = tmp_path / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=14m", "tmpfs", str(small)], check=True)
        try:
            folder = Environments(small / "work", print).install(lock, tmp_path / "wheels")
            assert sum((packages.site(folder) / "large" / f"{n}.bin").stat().st_size for n in range(6)) == 6 << 21
        finally:
            subprocess.run(["umount", str(small)], check=True)

    def test_with_files_for_elsewhere_is_left_to_pip(
        self, environments: Environments, lock: Lock, tmp_path: Path
    ) -> None:
        path = tmp_path / "wheels" / "large-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "a") as archive:
            script = zipfile.ZipInfo("large-1.0.data/scripts/large-shell")
            script.external_attr = 0o100755 << 16
            archive.writestr(script, "#!/bin/sh\necho shell\n")
        text = f"large==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        folder = environments.install(Lock(text, ("large",), sizes=lock.sizes), path.parent)
        done = subprocess.run([folder / "bin" / "large-shell"], capture_output=True, text=True, check=True)
        assert done.stdout == "shell\n"
        assert (packages.site(folder) / "large-1.0.dist-info" / "INSTALLER").read_text().strip() == "pip"


def test_killed_at_any_moment_a_whole_environment_serves(make_wheel: Wheel, tmp_path: Path) -> None:
    """First install and upgrades in turn, ended by SIGKILL after a random time, the time an install takes at most."""
    dice = random.Random(7)
    work, wheels = tmp_path / "work", tmp_path / "wheels"
    texts = [
        f"# imports: alpha beta\n{make_wheel('alpha', f'{n}.0', f'VALUE = {n}')}{make_wheel('beta', '1.0', 'B = 1')}"
        for n in range(1, 4)
    ]
    started = time.monotonic()
    subprocess.run(command(tmp_path / "trial", texts[0], wheels), check=True, capture_output=True)
    whole = time.monotonic() - started
    served = 0
    for turn in range(30 if os.environ.get("EDGELOOP_LONG") == "1" else 10):
        process = subprocess.Popen(
            command(work, texts[turn % 3], wheels), start_new_session=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(dice.uniform(0.05, 1.0) * whole)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if (work / "venv").exists():
            served += 1
            assert says(work / "venv", "import alpha, beta; print(beta.B)") == "1"
        else:
            assert served == 0, "what served once always serves"
    subprocess.run(command(work, texts[0], wheels), check=True, capture_output=True)
    assert says(work / "venv", "import alpha, beta; print(alpha.VALUE)") == "1"
    assert not list((work / "venvs").glob(f"*/{MAKING}"))
