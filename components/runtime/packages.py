"""The packages in an environment: taken over from another by hard links, looked at after a cut, fetched by pip.

Standard library only.
"""

from __future__ import annotations

import base64
import csv
import errno
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import unpack
from edgeloop.errors import EdgeloopError
from requirements import MEGABYTE, Lock, canonical, hashes

DISTRIBUTION_WHEELS = Path("/usr/share/python-wheels")
SCRATCH = "edgeloop.tmp"
"""In an environment that is being made: what pip unpacks."""
SHARE = 0.08
"""Of what is to be installed, wheels of one call of pip lie beside it at a time: the peak stays near what stays."""
SMALLEST = MEGABYTE // 4

Wheels = Callable[[Iterable[str]], AbstractContextManager[Path]]
"""A folder that holds the wheels of these packages."""


def site(folder: Path) -> Path:
    """Where an environment keeps its packages."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return folder / "lib" / version / "site-packages"


def installed(folder: Path) -> dict[str, Path]:
    """Pin → its .dist-info folder, of each package that is there to its last file."""
    found = {}
    for info in site(folder).glob("*.dist-info"):
        name, _, version = info.stem.rpartition("-")
        if (info / "RECORD").is_file():
            found[f"{canonical(name)}=={version}"] = info
    return found


def link(lock: Lock, held_by: Path, text: str, folder: Path) -> None:
    """Takes over what another complete environment holds of the lock, as hard links: no byte is written twice.

    text: what that environment holds, as its stamp has it. A package whose hashes there are not all among the lock's
    is left to pip; so is everything where the file system has no hard links.
    """
    theirs = {line.split()[0]: hashes(line) for line in text.splitlines() if line}
    there, here = installed(held_by), installed(folder)
    for line in lock.lines:
        pin = line.split()[0]
        if pin in here or pin not in there or not theirs.get(pin, {""}) <= hashes(line):
            continue
        try:
            _link(there[pin], site(held_by), site(folder))
        except OSError:
            shutil.rmtree(site(folder) / there[pin].name, ignore_errors=True)
            if not _links(there[pin] / "RECORD", site(folder)):
                return


def _link(info: Path, theirs: Path, ours: Path) -> None:
    names = [name for name, *_ in _record(info) if not name.startswith(("/", ".."))]
    last = f"{info.name}/RECORD"
    for name in [*(n for n in names if n != last), last]:
        target = ours / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        os.link(theirs / name, target)


def _links(file: Path, folder: Path) -> bool:
    trial = folder / ".edgeloop.link"
    try:
        os.link(file, trial)
    except OSError:
        return False
    trial.unlink()
    return True


def _record(info: Path) -> list[list[str]]:
    with (info / "RECORD").open(newline="") as file:
        return [row for row in csv.reader(file) if row]


def forget_damaged(folder: Path) -> None:
    """After a cut: what is not there to its last byte is taken for not installed."""
    for info in [*site(folder).glob("*.dist-info")]:
        if not (info / "RECORD").is_file() or not _whole(info, site(folder)):
            shutil.rmtree(info, ignore_errors=True)


def _whole(info: Path, folder: Path) -> bool:
    try:
        for name, digest, *_ in _record(info):
            if name.startswith(".."):
                continue
            data = (folder / name).read_bytes()
            kind, _, value = digest.partition("=")
            if not value and name.endswith(".pyc") and not data:
                return False
            if value and base64.urlsafe_b64encode(hashlib.new(kind, data).digest()).rstrip(b"=").decode() != value:
                return False
    except (OSError, ValueError):
        return False
    return True


def install(folder: Path, lock: Lock, held: int, wheels: Wheels | None, *, cache: bool) -> None:
    """Installs what of the lock is not there yet, the largest wheels first and few at a time: pip fetches and checks
    them, and unpacks those that come together.
    """
    there = installed(folder)
    wanted = [line for line in lock.lines if _key(line) not in there]
    if not wanted:
        return
    others = {_name(pin) for pin in there}
    scratch = folder / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        for lines in batches(wanted, lock):
            requirements = scratch / "requirements.txt"
            requirements.write_text("\n".join([*lines, ""]))
            apart = len(lines) == 1 and lock.sizes and _name(lines[0]) not in others
            words = ["download", "--dest", str(scratch)] if apart else ["install"]
            with wheels(line.partition("==")[0] for line in lines) if wheels else nullcontext(None) as place:
                _pip(folder, words, requirements, held, place, cache)
            for wheel in scratch.glob("*.whl"):
                _unpack(wheel, folder, requirements, held)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _key(line: str) -> str:
    return f"{_name(line)}=={line.split()[0].partition('==')[2]}"


def _name(line: str) -> str:
    return canonical(line.partition("==")[0])


def batches(lines: Sequence[str], lock: Lock) -> Iterator[list[str]]:
    """Requirements in groups whose wheels are small beside what is to be installed, the largest first.

    >>> lock = Lock("", sizes={"a": (9_000_000, 50_000_000), "b": (1_000_000, 2_000_000), "c": (500_000, 900_000)})
    >>> list(batches(["b==1", "c==1", "a==1"], lock))
    [['a==1'], ['b==1', 'c==1']]
    >>> list(batches(["b==1", "c==1"], Lock("")))
    [['b==1', 'c==1']]
    """
    sizes = {line: _wheel_size(line, lock) for line in lines}
    disk = sum(lock.sizes.get(_name(line), (0, 0))[1] for line in lines)
    most = max(SMALLEST, SHARE * disk)
    batch: list[str] = []
    held = 0
    for line in sorted(lines, key=lambda line: -sizes[line]):
        if batch and held + sizes[line] > most:
            yield batch
            batch, held = [], 0
        batch.append(line)
        held += sizes[line]
    if batch:
        yield batch


def _wheel_size(line: str, lock: Lock) -> int:
    return lock.sizes.get(_name(line), (0, 0))[0]


def _unpack(wheel: Path, folder: Path, requirements: Path, held: int) -> None:
    try:
        if unpack.plain(wheel):
            unpack.unpack(wheel, folder / "bin" / "python", site(folder))
        else:
            _pip(folder, ["install"], requirements, held, wheel.parent, cache=False)
            wheel.unlink()
    except (OSError, zipfile.BadZipFile) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        why, mend = explain("No space left on device") if full else (f"{wheel.name}: {error}", "")
        raise EdgeloopError(FAILED, where=str(folder), why=why, mend=mend) from error


def pip_command(python: Path, wheels: Path | None = None) -> list[str]:
    """This interpreter's pip, or else a wheel of it run by the new one; the environment itself stays without."""
    if own_pip() >= (22, 3):
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


def own_pip() -> tuple[int, ...]:
    """The version of the pip that runs as `python -m pip` here, () where there is none."""
    try:
        found = re.match(r"(\d+)\.(\d+)", importlib.metadata.version("pip"))
    except importlib.metadata.PackageNotFoundError:
        return ()
    return (int(found[1]), int(found[2])) if found else ()


def _pip(folder: Path, words: Sequence[str], requirements: Path, held: int, wheels: Path | None, cache: bool) -> None:
    options = ["--isolated", "--no-index", "--find-links", str(wheels)] if wheels else []
    command = [
        *pip_command(folder / "bin" / "python", wheels),
        *words, "--quiet", "--no-input", "--no-deps", "--require-hashes", "--only-binary", ":all:",
        "--disable-pip-version-check", "--retries", "2", *([] if cache else ["--no-cache-dir"]), *options,
        "-r", str(requirements),
    ]  # fmt: skip
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    environ["TMPDIR"] = str(requirements.parent)
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, pass_fds=(held,),
        stdin=subprocess.DEVNULL, env=environ,
    )  # fmt: skip
    if done.returncode:
        why, mend = explain(done.stdout, done.returncode)
        raise EdgeloopError(FAILED, where=str(folder), why=why, mend=mend)


FAILED = "cannot install the Python packages"
FULL = "the disk is full"
_CAUSES = (
    (r"No space left on device|Disk quota exceeded", FULL, "free some space and try again"),
    (r"DO NOT MATCH THE HASHES", "a package is not the one the lock names", "look at what serves your packages"),
    (r"name resolution|Name or service not known|NewConnectionError|Network is unreachable|ConnectTimeout|"
     r"Connection (refused|reset|broken)|ProxyError|Read timed out|Max retries exceeded",
     "the package index cannot be reached", "check the network, or bring a wheelhouse"),
    (r"CERTIFICATE_VERIFY_FAILED|SSLError", "the package index's certificate is not trusted", "set PIP_CERT"),
    (r"MemoryError|Cannot allocate memory", "there is not enough memory", "stop something else meanwhile"),
)  # fmt: skip


def explain(output: str, code: int = 1) -> tuple[str, str]:
    """(why, mend) from what pip printed and how it ended (negative: by that signal).

    >>> explain("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device")
    ('the disk is full', 'free some space and try again')
    >>> explain("", -15)
    ('pip was ended by signal 15', 'the next install goes on from here')
    """
    for pattern, why, mend in _CAUSES:
        if re.search(pattern, output):
            return why, mend
    if code == -9:
        return f"pip was killed, as the system does for want of memory{_available()}", "stop something else meanwhile"
    if code < 0:
        return f"pip was ended by signal {-code}", "the next install goes on from here"
    if found := re.search(r"No matching distribution found for (\S+)", output):
        place = f"Python {sys.version_info.major}.{sys.version_info.minor} on {os.uname().machine}"
        return f"there is no wheel of {found[1]} for {place}", "use another Python, or bring a wheelhouse"
    errors = [line.strip() for line in output.splitlines() if "ERROR" in line] or output.strip().splitlines()[-1:]
    return (errors[0] if errors else f"pip said nothing and ended with {code}"), ""


def _available() -> str:
    try:
        found = re.search(r"^MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    except OSError:
        return ""
    return f" ({int(found[1]) // 1000} MB are available now)" if found else ""
