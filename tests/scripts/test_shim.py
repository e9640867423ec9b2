"""The shim in a checkout of its own, with locks of small wheels."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from environment import Environments
from requirements import Lock

ROOT = Path(__file__).resolve().parents[2]
BASE = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
Wheel = Callable[..., str]


HELLO = """
from pathlib import Path

from edgeloop import __version__
from edgeloop_tools import extras

def register(subparsers):
    parser = subparsers.add_parser("hello", help="say hello")
    parser.add_argument("needed", nargs="*")
    parser.add_argument("--borrow")
    parser.set_defaults(run=run)

def run(arguments):
    if arguments.borrow:
        extras.borrow(arguments.needed[0], Path(arguments.borrow))
    else:
        extras.need(*arguments.needed)
    print(f"edgeloop {__version__}", *(__import__(name).__file__.count("site-packages") for name in arguments.needed))
"""
"""A command of the tools that needs the extras it is given, each with a module of its name."""


class Checkout:
    def __init__(self, root: Path, wheels: Path, programs: Path) -> None:
        self.root, self.venv = root, root / ".venv"
        self.environ = {
            "PATH": f"{programs}:/usr/bin:/bin",
            "HOME": str(root.parent / "home"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
        }

    def lock(self, name: str, text: str) -> None:
        (self.root / "scripts" / "locks" / f"{name}.txt").write_text(text)

    def start(self, *arguments: str, shim: Path | None = None, **environ: str) -> subprocess.Popen[str]:
        command = [str(shim or self.root / "scripts" / "edgeloop"), *arguments]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
            env=self.environ | environ, start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str, shim: Path | None = None, **environ: str) -> tuple[int, str, str]:
        process = self.start(*arguments, shim=shim, **environ)
        out, err = process.communicate(timeout=90)
        return process.returncode, out, err

    def has(self, module: str) -> bool:
        command = [str(self.venv / "bin" / "python"), "-c", f"import {module}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def checkout(tmp_path: Path, make_wheel: Wheel) -> Checkout:
    root, programs = tmp_path / "a checkout", tmp_path / "programs"
    for name in ("scripts/edgeloop", "scripts/edgeloop_tools", "components/runtime"):
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "core", "demo", "bench", "build", "lint", "harness")
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy(source, target)
    hello = root / "scripts" / "edgeloop_tools" / "hello"
    hello.mkdir()
    (hello / "commands.py").write_text(HELLO)
    programs.mkdir()
    (programs / "python3").symlink_to(BASE)
    made = Checkout(root, tmp_path / "wheels", programs)
    (root / "scripts" / "locks").mkdir(parents=True)
    tools = "# imports: alpha\n# megabytes: 3 download, 7 disk\n" + make_wheel("alpha")
    made.lock("tools", tools)
    made.lock("dev", tools + make_wheel("beta"))
    return made


def test_first_use_second_use_and_a_changed_lock(checkout: Checkout, make_wheel: Wheel, tmp_path: Path) -> None:
    link = tmp_path / "edgeloop"
    link.symlink_to(checkout.root / "scripts" / "edgeloop")
    code, out, err = checkout.run("hello", shim=link)
    assert (code, out) == (0, "edgeloop 0.1.0\n"), err
    first, second = err.splitlines()
    assert "about 1 minute, 3 MB to download" in first
    assert "7 MB on disk" in first
    assert second.startswith("edgeloop: installed in ")
    assert checkout.has("alpha")
    assert not checkout.has("beta")

    assert checkout.run("hello") == (0, "edgeloop 0.1.0\n", "")

    code, _, err = checkout.run("test", "--version")
    assert checkout.has("beta"), err
    assert "bringing" in err
    assert checkout.run("hello") == (0, "edgeloop 0.1.0\n", ""), "what the tests need holds the tools"

    gamma = "# imports: gamma\n" + make_wheel("gamma")
    checkout.lock("tools", gamma)
    checkout.lock("dev", gamma + make_wheel("beta"))
    code, _, err = checkout.run("hello")
    assert (code, "the lock changed" in err) == (0, True)
    assert checkout.has("gamma")


def test_what_needs_nothing_installs_nothing(checkout: Checkout) -> None:
    for words, said in ((["--version"], "edgeloop 0.1.0\n"), (["--help"], "say hello"), (["hello", "-h"], "[needed")):
        code, out, err = checkout.run(*words)
        assert (code, err) == (0, ""), words
        assert said in out
    assert checkout.run()[0] == 2
    assert "problems" in checkout.run("doctor")[1]
    assert not checkout.venv.exists()


def test_an_extra_is_installed_at_its_first_use(checkout: Checkout, make_wheel: Wheel) -> None:
    about = "# imports: gamma\n# megabytes: 4 download, 9 disk\n"
    checkout.lock("gamma", about + make_wheel("gamma"))
    assert checkout.run("hello")[:2] == (0, "edgeloop 0.1.0\n")
    code, out, err = checkout.run("hello", "gamma")
    assert (code, out) == (0, "edgeloop 0.1.0 1\n"), err
    assert "gamma, needed for this command: installing 1 Python packages" in err
    assert "4 MB to download" in err
    assert checkout.run("hello", "gamma") == (0, "edgeloop 0.1.0 1\n", "")

    checkout.lock("gamma", about + make_wheel("gamma", "2.0"))
    assert "needed for this command" in checkout.run("hello", "gamma")[2], "a changed lock is followed"
    code, out, err = checkout.run("hello", "delta")
    assert (code, out) == (1, "")
    assert err == "edgeloop: no such extra: delta; one of gamma\n"


def test_what_another_environment_holds_is_used_from_there(
    checkout: Checkout, make_wheel: Wheel, tmp_path: Path
) -> None:
    lock = "# imports: gamma\n# megabytes: 4 download, 9 disk\n" + make_wheel("gamma")
    checkout.lock("gamma", lock)
    devices = Environments(tmp_path / "device", lambda line: None)
    devices.install(Lock.merge(lock), tmp_path / "wheels")
    checkout.run("hello")
    code, out, err = checkout.run("hello", "gamma", "--borrow", str(devices.link))
    assert (code, out, err) == (0, "edgeloop 0.1.0 1\n", "")
    assert not checkout.has("gamma")
    assert "needed for this command" in checkout.run("hello", "gamma", "--borrow", str(tmp_path / "none"))[2]


def test_an_extra_without_wheels_for_this_python_is_one_line(checkout: Checkout, make_wheel: Wheel) -> None:
    lock = "# imports: gamma\n# wheels: x86_64 aarch64, Python 3.9 3.10, glibc 2.28\n" + make_wheel("gamma")
    checkout.lock("gamma", lock)
    checkout.run("hello")
    code, out, err = checkout.run("hello", "gamma")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "they have wheels for Python 3.9 and 3.10, this is 3." in err


def test_an_extra_that_cannot_be_had_is_one_line_and_the_tools_go_on(checkout: Checkout) -> None:
    checkout.lock("gamma", f"# imports: gamma\ngamma==1.0 --hash=sha256:{'0' * 64}\n")
    assert checkout.run("hello")[0] == 0
    code, out, err = checkout.run("hello", "gamma")
    assert (code, out) == (1, "")
    assert "there is no wheel of gamma==1.0" in err.splitlines()[-1]
    assert checkout.run("hello") == (0, "edgeloop 0.1.0\n", "")


def test_the_developers_environment_holds_an_extra_already(checkout: Checkout, make_wheel: Wheel) -> None:
    checkout.lock("beta", "# imports: beta\n" + make_wheel("beta"))
    checkout.run("test", "--version")
    assert checkout.run("hello", "beta") == (0, "edgeloop 0.1.0 1\n", "")


def test_two_at_once(checkout: Checkout) -> None:
    both = [checkout.start("hello") for _ in range(2)]
    outputs = [process.communicate(timeout=90) for process in both]
    assert [out for out, _ in outputs] == ["edgeloop 0.1.0\n"] * 2
    assert sum("first use" in err for _, err in outputs) == 1


def test_killed_half_way_it_is_made_again(checkout: Checkout) -> None:
    process = checkout.start("hello")
    deadline = time.monotonic() + 30
    while not (checkout.venv / "edgeloop.making").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    code, out, err = checkout.run("hello")
    assert (code, out) == (0, "edgeloop 0.1.0\n"), err
    assert checkout.has("alpha")


def test_an_environment_of_ones_own_is_used_as_it_is(checkout: Checkout) -> None:
    subprocess.run([str(BASE), "-m", "venv", "--without-pip", str(checkout.venv)], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (checkout.venv / "lib" / version / "site-packages" / "own.pth").write_text(
        f"{checkout.root / 'components' / 'runtime'}\n{checkout.root / 'scripts'}\n"
    )
    assert checkout.run("hello") == (0, "edgeloop 0.1.0\n", "")
    assert not (checkout.venv / "edgeloop.lock").exists()


def test_a_checkout_may_be_moved(checkout: Checkout, tmp_path: Path) -> None:
    assert checkout.run("hello")[0] == 0
    moved = tmp_path / "moved"
    checkout.root.rename(moved)
    assert checkout.run("hello", shim=moved / "scripts" / "edgeloop") == (0, "edgeloop 0.1.0\n", "")


def test_elsewhere(checkout: Checkout, tmp_path: Path) -> None:
    code, out, _ = checkout.run("hello", EDGELOOP_VENV=str(tmp_path / "elsewhere"))
    assert (code, out) == (0, "edgeloop 0.1.0\n")
    assert not checkout.venv.exists()


def test_a_folder_of_something_else_is_left_alone(checkout: Checkout) -> None:
    checkout.venv.mkdir()
    (checkout.venv / "thesis.tex").touch()
    code, _, err = checkout.run("hello")
    assert code == 1
    assert err == f"edgeloop: this folder is no Python environment ({checkout.venv}); remove it\n"
    assert (checkout.venv / "thesis.tex").exists()


def test_no_python_is_one_line(checkout: Checkout, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    for name in ("dirname", "readlink", "cmp", "cksum", "cut"):
        (old / name).symlink_to(str(shutil.which(name)))
    (old / "python3").write_text("#!/bin/sh\nexit 1\n")
    (old / "python3").chmod(0o755)
    code, _, err = checkout.run("hello", PATH=str(old))
    assert code == 1
    assert err.count("\n") == 1
    assert "Python 3.11 or newer is needed" in err


def test_what_is_installed_goes_on_when_a_new_lock_cannot_be_had(checkout: Checkout) -> None:
    assert checkout.run("hello")[0] == 0
    checkout.lock("tools", f"delta==1.0 --hash=sha256:{'0' * 64}\n")
    for _ in range(2):
        code, out, err = checkout.run("hello")
        assert (code, out) == (0, "edgeloop 0.1.0\n")
        assert err.endswith("going on with what is installed\n")


def test_no_package_is_one_line(checkout: Checkout) -> None:
    checkout.lock("tools", f"delta==1.0 --hash=sha256:{'0' * 64}\n")
    code, _, err = checkout.run("hello")
    assert code == 1
    assert "there is no wheel of delta==1.0" in err.splitlines()[-1]
    assert "Traceback" not in err
