"""Virtual environments from locks with hashes. Standard library only: this runs where nothing is installed yet."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from edgeloop.errors import EdgeloopError

STAMP = "edgeloop.lock"
"""In a complete environment: the lock it holds."""
MAKING = "edgeloop.making"
"""In one that is being made or changed, or whose maker was killed."""
DISTRIBUTION_WHEELS = Path("/usr/share/python-wheels")
MEGABYTE = 1_000_000

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Lock:
    """What an environment holds: requirements with hashes (pip's file format), and what its header says of them.

    download, disk: bytes, measured when the lock was made.
    """

    text: str
    imports: tuple[str, ...] = ()
    download: int = 0
    disk: int = 0

    @classmethod
    def merge(cls, *texts: str) -> Lock:
        """One lock from several that were resolved together and share what the smallest of them holds.

        >>> a = "# imports: one\\n# megabytes: 2 download, 5 disk\\none==1 \\\\\\n    --hash=sha256:aa\\n"
        >>> b = a.replace("5 disk", "9 disk").replace("imports: one", "imports: one two")
        >>> Lock.merge(a, b)
        Lock(text='one==1 --hash=sha256:aa\\n', imports=('one', 'two'), download=2000000, disk=9000000)
        """
        requirements: dict[str, None] = {}
        imports: dict[str, None] = {}
        sizes: list[tuple[int, int]] = []
        for text in texts:
            if found := re.search(r"^# imports: (.*)$", text, re.M):
                imports.update(dict.fromkeys(found[1].split()))
            if found := re.search(r"^# megabytes: (\d+) download, (\d+) disk$", text, re.M):
                sizes.append((int(found[1]) * MEGABYTE, int(found[2]) * MEGABYTE))
            body = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", text, flags=re.M))
            requirements.update(dict.fromkeys(" ".join(line.split()) for line in body.splitlines() if line.strip()))
        shared = min(sizes, default=(0, 0))
        download, disk = (sum(size[n] - shared[n] for size in sizes) + shared[n] for n in (0, 1))
        return cls("\n".join(sorted(requirements)) + "\n", tuple(imports), download, disk)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    def within(self, folder: Path) -> bool:
        """Whether a usable environment holds at least this lock."""
        return set(self.text.splitlines()) <= set((folder / STAMP).read_text().splitlines())

    def pins(self) -> set[str]:
        """Name and version of each.

        >>> sorted(Lock.merge("b==1 --hash=sha256:aa", "a==2 ; sys_platform == 'linux' --hash=sha256:bb").pins())
        ['a==2', 'b==1']
        """
        return {line.split()[0] for line in self.text.splitlines() if line}

    def names(self) -> list[str]:
        """
        >>> Lock.merge("b==1 --hash=sha256:aa", "a==2 ; sys_platform == 'linux' --hash=sha256:bb").names()
        ['a', 'b']
        """
        return sorted({line.partition("==")[0] for line in self.text.splitlines()})


@contextmanager
def locked(folder: Path, say: Say) -> Iterator[int]:
    """Holds the folder for one maker; the descriptor is inheritable, so that an orphaned child holds it too."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise EdgeloopError("cannot open the folder", where=str(folder), why=_reason(error)) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another install is at work here: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def usable(folder: Path) -> bool:
    """Whether the environment is complete, and its interpreter still there and of the version it was made for."""
    python = folder / "bin" / "python"
    if not (folder / STAMP).is_file() or (folder / MAKING).exists() or not os.access(python, os.X_OK):
        return False
    version = re.fullmatch(r"python\d+\.\d+", python.resolve().name)
    return version is None or (folder / "lib" / version[0]).is_dir()


class _Builder(venv.EnvBuilder):
    """Links to the interpreter under its full name: `python3` is another one after an upgrade of the system."""

    def ensure_directories(self, env_dir: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> SimpleNamespace:
        context = super().ensure_directories(env_dir)
        context.executable = os.path.realpath(context.executable)
        context.python_dir = os.path.dirname(context.executable)
        return context


def holds(folder: Path, text: str) -> bool:
    """Whether the environment is usable and stamped with this text."""
    return usable(folder) and (folder / STAMP).read_text() == text


def make(
    folder: Path, lock: Lock, held: int, *, wheels: Path | None = None, paths: Sequence[Path] = (), stamp: str = "",
    stamped: str = STAMP,
) -> None:  # fmt: skip
    """Makes the environment, or brings a usable one up to date in place, and stamps it last.

    held: the descriptor of `locked`. wheels: a folder of wheels to install from, instead of the index.
    paths: source folders to put on its path, relatively where it lies among them.
    stamp: what to stamp it with, by default the lock's text. stamped: the file that takes it.
    Raises EdgeloopError with what stands in the way; what was usable before still is.
    """
    _room(folder, lock)
    fresh = not usable(folder)
    python = folder / "bin" / "python"
    try:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        (folder / MAKING).touch()
        if fresh:
            _Builder(symlinks=True, with_pip=False).create(folder)
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
            requirements.write(lock.text)
            requirements.flush()
            _pip(folder, Path(requirements.name), held, wheels)
        _run([python, "-I", "-c", "".join(f"import {m}\n" for m in lock.imports)], folder, held)
        if paths:
            asking = "import sysconfig; print(sysconfig.get_path('purelib'))"
            packages = _run([python, "-I", "-c", asking], folder, held)
            inside = folder.is_relative_to(os.path.commonpath(paths))
            lines = [os.path.relpath(path, packages) if inside else str(path) for path in paths]
            Path(packages, "edgeloop_sources.pth").write_text("\n".join([*lines, ""]))
        os.sync()
        partial = folder / (stamped + ".new")
        partial.write_text(stamp or lock.text)
        os.replace(partial, folder / stamped)
        (folder / MAKING).unlink()
    except (EdgeloopError, OSError) as error:
        if not fresh:
            (folder / MAKING).unlink(missing_ok=True)
        if isinstance(error, EdgeloopError):
            raise
        raise EdgeloopError("cannot make the Python environment", where=str(folder), why=_reason(error)) from error


def _room(folder: Path, lock: Lock) -> None:
    place = folder
    while not place.exists():
        place = place.parent
    free, needed = shutil.disk_usage(place).free, lock.disk + lock.download
    if free < needed:
        raise EdgeloopError(
            "no room for the Python environment",
            where=str(folder),
            why=f"{needed // MEGABYTE} MB are needed, {free // MEGABYTE} MB are free",
            mend="free some space",
        )


def _pip_command(python: Path, wheels: Path | None) -> list[str]:
    """This interpreter's pip, or else a wheel of it run by the new one; the environment itself stays without."""
    if _own_pip() >= (22, 3):
        return [sys.executable, "-m", "pip", "--python", str(python)]
    places = [wheels] if wheels else []
    if (found := importlib.util.find_spec("ensurepip")) and found.origin:
        places.append(Path(found.origin).parent / "_bundled")
    for place in [*places, DISTRIBUTION_WHEELS]:
        for wheel in sorted(place.glob("pip-*.whl"), reverse=True):
            return [str(python), f"{wheel}/pip"]
    name = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    raise EdgeloopError(
        "this Python cannot make an environment",
        where=sys.executable,
        why="it has neither ensurepip nor pip",
        mend=f"install it, on Debian and Ubuntu: sudo apt-get install {name}",
    )


def _own_pip() -> tuple[int, ...]:
    """The version of the pip that runs as `python -m pip` here, () where there is none."""
    try:
        found = re.match(r"(\d+)\.(\d+)", importlib.metadata.version("pip"))
    except importlib.metadata.PackageNotFoundError:
        return ()
    return (int(found[1]), int(found[2])) if found else ()


def _pip(folder: Path, requirements: Path, held: int, wheels: Path | None) -> None:
    options = ["--isolated", "--no-index", "--find-links", str(wheels)] if wheels else []
    command = [
        *_pip_command(folder / "bin" / "python", wheels),
        "install",
        "--quiet",
        "--no-input",
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--disable-pip-version-check",
        "--retries",
        "2",
        *options,
        "-r",
        str(requirements),
    ]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        pass_fds=(held,),
        stdin=subprocess.DEVNULL,
        env={k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")},
    )
    if done.returncode:
        why, mend = explain(done.stdout)
        raise EdgeloopError("cannot install the Python packages", where=str(folder), why=why, mend=mend)


_CAUSES = (
    (r"No space left on device|Disk quota exceeded", "the disk is full", "free some space and try again"),
    (r"DO NOT MATCH THE HASHES", "a package is not the one the lock names", "look at what serves your packages"),
    (r"name resolution|Name or service not known|NewConnectionError|Network is unreachable|ConnectTimeout|"
     r"Connection (refused|reset|broken)|ProxyError|Read timed out|Max retries exceeded",
     "the package index cannot be reached", "check the network, or bring a wheelhouse"),
    (r"CERTIFICATE_VERIFY_FAILED|SSLError", "the package index's certificate is not trusted", "set PIP_CERT"),
)  # fmt: skip


def explain(output: str) -> tuple[str, str]:
    """(why, mend) from what pip printed.

    >>> explain("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device")
    ('the disk is full', 'free some space and try again')
    """
    for pattern, why, mend in _CAUSES:
        if re.search(pattern, output):
            return why, mend
    if found := re.search(r"No matching distribution found for (\S+)", output):
        place = f"Python {sys.version_info.major}.{sys.version_info.minor} on {os.uname().machine}"
        return f"there is no wheel of {found[1]} for {place}", "use another Python, or bring a wheelhouse"
    errors = [line.strip() for line in output.splitlines() if "ERROR" in line] or output.strip().splitlines()[-1:]
    return (errors[0] if errors else "pip said nothing"), ""


def _run(command: Sequence[str | Path], folder: Path, held: int) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, pass_fds=(held,))
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise EdgeloopError("the new Python environment does not work", where=str(folder), why=why)
    return done.stdout.strip()


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)) + (f": {error.filename}" if error.filename else "")


class Environments:
    """A device's environments: `venvs/<lock digest>-<python x.y>` side by side, the symlink `venv` to the one in use,
    `previous` to the one before, so that a rollback is a flip of the link.
    """

    def __init__(self, work: Path, say: Say) -> None:
        self.work, self._say = work, say
        self.link, self.before = work / "venv", work / "previous"

    def folder(self, lock: Lock) -> Path:
        return self.work / "venvs" / f"{lock.digest}-{sys.version_info.major}.{sys.version_info.minor}"

    def current(self) -> Path | None:
        """The environment in use, when it is complete."""
        folder = self.link.resolve()
        return folder if usable(folder) else None

    def install(self, lock: Lock, wheelhouse: Path | None = None) -> Path:
        """Makes the lock's environment, if it is not there, and switches to it.

        wheelhouse: a folder or a zip file of wheels, instead of the index. Raises EdgeloopError; then the environment
        in use goes on as it was.
        """
        folder = self.folder(lock)
        if self.current() == folder and holds(folder, lock.text):
            return folder
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdgeloopError("cannot make the work folder", where=str(self.work), why=_reason(error)) from error
        with locked(self.work, self._say) as held:
            if not holds(folder, lock.text):
                self._say(
                    f"making the Python environment {folder.name}: {len(lock.names())} packages, about "
                    f"{lock.download // MEGABYTE} MB to fetch, {lock.disk // MEGABYTE} MB on disk"
                )
                try:
                    with _wheels(wheelhouse, self.work / "wheels.new") as wheels:
                        make(folder, lock, held, wheels=wheels)
                except EdgeloopError as error:
                    shutil.rmtree(folder, ignore_errors=True)
                    if self.current():
                        raise EdgeloopError(f"{error}; the previous environment goes on serving") from error
                    raise
            self._switch(folder)
            self._prune()
        return folder

    def _switch(self, folder: Path) -> None:
        now = self.current()
        if now == folder:
            return
        if now is not None:
            _point(self.before, now)
        _point(self.link, folder)

    def _prune(self) -> None:
        kept = {self.link.resolve(), self.before.resolve()}
        for folder in (self.work / "venvs").iterdir():
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _wheels(wheelhouse: Path | None, scratch: Path) -> Iterator[Path | None]:
    """The wheelhouse as a folder; only wheels at the top of a zip file are taken out of it."""
    if wheelhouse is None or wheelhouse.is_dir():
        yield wheelhouse
        return
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir()
        with zipfile.ZipFile(wheelhouse) as archive:
            for name in archive.namelist():
                if re.fullmatch(r"[A-Za-z0-9._+!-]+\.whl", name):
                    archive.extract(name, scratch)
        yield scratch
    except (OSError, zipfile.BadZipFile) as error:
        why = _reason(error) if isinstance(error, OSError) else str(error)
        raise EdgeloopError("cannot read the wheelhouse", where=str(wheelhouse), why=why) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _point(link: Path, folder: Path) -> None:
    """Replaces the symlink in one step, durably; relative, so that the root can be moved while nothing runs."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(folder, link.parent))
    os.replace(fresh, link)
    descriptor = os.open(link.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
