"""Virtual environments from locks with hashes. Standard library only: this runs where nothing is installed yet."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace

import machine
import packages
from edgeloop.errors import EdgeloopError
from requirements import MEGABYTE, Lock, canonical

STAMP = "edgeloop.lock"
"""In a complete environment: the lock it holds."""
MAKING = "edgeloop.making"
"""In one that is being made or changed, or whose maker was killed."""
PROFILES = "edgeloop.profiles"
"""In a device's: words for what it holds."""
ASKED = "asked"
"""In the Runtime's work folder: the profiles that the last install was asked for."""

Say = Callable[[str], None]


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


def within(lock: Lock, folder: Path) -> bool:
    """Whether a usable environment holds at least this lock."""
    return set(lock.lines) <= set((folder / STAMP).read_text().splitlines())


def make(
    folder: Path, lock: Lock, held: int, *, wheels: packages.Wheels | None = None, paths: Sequence[Path] = (),
    stamp: str = "", stamped: str = STAMP, beside: Sequence[Path] = (), cache: bool = True,
) -> None:  # fmt: skip
    """Makes the environment, goes on with one that was cut short, or brings a usable one up to date in place; stamps
    it last.

    held: the descriptor of `locked`. wheels: where to install from, instead of the index.
    paths: source folders to put on its path, relatively where it lies among them.
    stamp: what to stamp it with, by default the lock's text. stamped: the file that takes it.
    beside: complete environments whose packages may be taken over as hard links. cache: whether pip keeps one.
    Raises EdgeloopError with what stands in the way; what was usable before still is.
    """
    fresh = not usable(folder)
    cut = fresh and (folder / MAKING).exists() and _runs(folder)
    python = folder / "bin" / "python"
    try:
        if fresh and not cut:
            shutil.rmtree(folder, ignore_errors=True)
        _room(folder, lock, beside)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MAKING).touch()
        if cut:
            packages.forget_damaged(folder)
        elif fresh:
            _Builder(symlinks=True, with_pip=False).create(folder)
        for other in beside:
            packages.link(lock, other, (other / STAMP).read_text(), folder)
        packages.install(folder, lock, held, wheels, cache=cache)
        _run([python, "-I", "-c", "".join(f"import {m}\n" for m in lock.imports)], folder, held)
        if paths:
            place = packages.site(folder)
            inside = folder.is_relative_to(os.path.commonpath(paths))
            lines = [os.path.relpath(path, place) if inside else str(path) for path in paths]
            (place / "edgeloop_sources.pth").write_text("\n".join([*lines, ""]))
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


def _runs(folder: Path) -> bool:
    """Whether an environment that was cut short is one of this Python, to the interpreter at least."""
    python = folder / "bin" / "python"
    same = os.path.realpath(python) == os.path.realpath(sys.executable) and os.access(python, os.X_OK)
    return same and (folder / "pyvenv.cfg").is_file() and packages.site(folder).is_dir()


def needed(lock: Lock, beside: Iterable[Path]) -> int:
    """Bytes that an environment of this lock takes while it is made, beside those."""
    if not lock.sizes:
        return lock.disk + lock.download
    there = {pin for folder in beside for pin in packages.installed(folder)}
    download, disk = lock.missing(there)
    return int(disk + min(download, max(packages.SMALLEST, packages.SHARE * disk)))


def _room(folder: Path, lock: Lock, beside: Sequence[Path]) -> None:
    place = folder
    while not place.exists():
        place = place.parent
    free, wanted = shutil.disk_usage(place).free, needed(lock, [*beside, folder])
    if free < wanted:
        raise EdgeloopError(
            "no room for the Python environment",
            where=str(folder),
            why=f"{wanted // MEGABYTE} MB are needed, {free // MEGABYTE} MB are free",
            mend="free some space",
        )


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
    `previous` to the one of the version that ran before, so that a rollback is a flip of the link.
    """

    def __init__(self, work: Path, say: Say) -> None:
        self.work, self._say = work, say
        self.link, self.before = work / "venv", work / "previous"
        self.all = work / "venvs"

    def folder(self, lock: Lock) -> Path:
        return self.all / f"{lock.digest}-{sys.version_info.major}.{sys.version_info.minor}"

    def current(self) -> Path | None:
        """The environment in use, when it is complete."""
        folder = self.link.resolve()
        return folder if usable(folder) else None

    def ask(self, profiles: Sequence[str]) -> None:
        """Leaves word of what is asked for, to those who wait for it."""
        with suppress(OSError):
            self.work.mkdir(parents=True, exist_ok=True)
            (self.work / ASKED).write_text(" ".join(profiles))

    def asked(self) -> list[str]:
        """The profiles that the last install was asked for."""
        return _words(self.work / ASKED)

    def held(self) -> list[str]:
        """The profiles of the environment in use."""
        return _words(self.link / PROFILES)

    def busy(self) -> bool:
        """Whether an install is at work."""
        try:
            descriptor = os.open(self.work, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def whole(self) -> list[Path]:
        """The complete environments of this Python, the one in use first."""
        now = self.current()
        others = [folder for folder in sorted(self.all.glob("*")) if folder != now and usable(folder)]
        return [folder for folder in [*([now] if now else []), *others] if packages.site(folder).is_dir()]

    def install(self, lock: Lock, wheelhouse: Path | None = None, profiles: Sequence[str] = ()) -> Path:
        """Makes the lock's environment, if it is not there, and switches to it.

        wheelhouse: a folder or a zip file of wheels, instead of the index. profiles: words for what the lock holds.
        Raises EdgeloopError; then the environment in use goes on as it was.
        """
        folder = self.folder(lock)
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdgeloopError("cannot make the work folder", where=str(self.work), why=_reason(error)) from error
        if self.current() == folder and holds(folder, lock.text) and not self._strays():
            return folder
        with locked(self.work, self._say) as held:
            if not holds(folder, lock.text):
                self._make(folder, lock, held, wheelhouse)
            if profiles:
                (folder / PROFILES).write_text(" ".join(profiles))
            self._switch(folder)
            self._prune()
        return folder

    def _make(self, folder: Path, lock: Lock, held: int, wheelhouse: Path | None) -> None:
        shutil.rmtree(self.work / _UNPACKED, ignore_errors=True)
        whole = self.whole()
        fetched, new = lock.missing({pin for other in whole for pin in packages.installed(other)})
        again = "going on with" if (folder / MAKING).exists() else "making"
        self._say(
            f"{again} the Python environment {folder.name}: {len(lock.names())} packages, about "
            f"{(fetched if lock.sizes else lock.download) // MEGABYTE} MB to fetch, "
            f"{(new if lock.sizes else lock.disk) // MEGABYTE} MB on disk"
        )
        before = {pin for other in [*whole, folder] for pin in packages.installed(other)}
        try:
            why, mend = machine.refusal(lock)
            if why:
                raise EdgeloopError("there can be no Python environment here", why=why, mend=mend)
            wheels = opened(wheelhouse, self.work / _UNPACKED) if wheelhouse else None
            make(folder, lock, held, wheels=wheels, beside=whole, cache=False)
        except EdgeloopError as error:
            cut_short = error.what == packages.FAILED and error.why != packages.FULL
            if not cut_short or not packages.installed(folder).keys() - before:
                shutil.rmtree(folder, ignore_errors=True)
            if self.current():
                raise EdgeloopError(f"{error}; the previous environment goes on serving") from error
            raise

    def _switch(self, folder: Path) -> None:
        """`previous` stays where the new one only grew: going back is to what another version had."""
        now = self.current()
        if now == folder:
            return
        if now is not None and not (_grown(now, folder) and usable(self.before.resolve())):
            _point(self.before, now)
        _point(self.link, folder)

    def _strays(self) -> list[Path]:
        kept = {self.link.resolve(), self.before.resolve()}
        return [folder for folder in self.all.glob("*") if folder not in kept]

    def _prune(self) -> None:
        """What no process has open goes, but for the one in use and the one before."""
        strays = self._strays()
        open_files = _mapped() if strays else ""
        for folder in strays:
            if f"{folder}/" not in open_files:
                shutil.rmtree(folder, ignore_errors=True)


_UNPACKED = "wheels.new"


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _grown(old: Path, new: Path) -> bool:
    return set((old / STAMP).read_text().splitlines()) < set((new / STAMP).read_text().splitlines())


def _mapped() -> str:
    """The files that processes have mapped, as far as this user may see them."""
    found = []
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            found.append(maps.read_text(errors="replace"))
        except OSError:
            continue
    return "".join(found)


def opened(wheelhouse: Path, scratch: Path) -> packages.Wheels:
    """Wheels of a wheelhouse. Of a zip file only those asked for are taken out, to `scratch`, each time."""
    if wheelhouse.is_dir():
        return lambda names: nullcontext(wheelhouse)
    return lambda names: _taken(wheelhouse, frozenset(map(canonical, names)) | {"pip"}, scratch)


@contextmanager
def _taken(wheelhouse: Path, names: frozenset[str], scratch: Path) -> Iterator[Path]:
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir()
        with zipfile.ZipFile(wheelhouse) as archive:
            for name in archive.namelist():
                if re.fullmatch(r"[A-Za-z0-9._+!-]+\.whl", name) and canonical(name.partition("-")[0]) in names:
                    archive.extract(name, scratch)
    except (OSError, zipfile.BadZipFile) as error:
        shutil.rmtree(scratch, ignore_errors=True)
        why = _reason(error) if isinstance(error, OSError) else str(error)
        raise EdgeloopError("cannot read the wheelhouse", where=str(wheelhouse), why=why) from error
    try:
        yield scratch
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
