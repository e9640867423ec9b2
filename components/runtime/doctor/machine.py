"""The computer: Python, architecture, memory, disk, clock."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import locks
import machine
from doctor.device import Device
from doctor.finding import Finding
from edgeloop.kernelclock import discipline
from environment import Environments, needed
from requirements import MEGABYTE

GIGABYTE = 1_000_000_000
NEWEST_TRIED = (3, 14)
RELEASED = 1_767_225_600
"""2026-01-01, in s: a clock before it was never set."""


def python(device: Device) -> Iterator[Finding]:
    version = sys.version_info
    seen = f"{platform.python_version()} ({sys.executable})"
    if version[:2] > NEWEST_TRIED:
        yield Finding("warning", "Python", seen, "packages may have no wheels for it yet", "use Python 3.11 to 3.14")
    elif version < (3, 11):
        yield Finding("problem", "Python", seen, "3.11 or newer is needed", "install python3.11 and python3.11-venv")
    else:
        yield Finding("ok", "Python", seen)
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if "venv" in missing or (missing and importlib.util.find_spec("pip") is None):
        package = f"python{version[0]}.{version[1]}-venv"
        yield Finding("problem", "venv", f"{' and '.join(missing)} missing", "no environment can be made",
                      f"on Debian and Ubuntu: sudo apt-get install {package}")  # fmt: skip
    else:
        yield Finding("ok", "venv", "environments can be made")


def architecture(device: Device) -> Iterator[Finding]:
    here, width, (name, version) = device.machine, machine.bits(), machine.libc()
    lock = device.lock
    why, mend = machine.refusal(lock, here, width, (name, version))
    seen = ", ".join([here, *([f"a Python of {width} bits"] if width != 64 else []),
                      " ".join([name or "an unknown C library", ".".join(map(str, version))]).strip()])  # fmt: skip
    if why:
        yield Finding("problem", "architecture", seen, why, mend)
        return
    if name not in ("glibc", "musl"):
        yield Finding("problem", "architecture", seen, "the packages' wheels need glibc", machine.MEND)
        return
    yield Finding("ok", "architecture", seen)
    if note := locks.nothing_here(device.profiles, here):
        yield Finding("warning", "profiles", " ".join(device.profiles), note, "leave neo out")
    flags = device.read("/proc/cpuinfo")
    if here == "x86_64" and flags and " avx" not in flags:
        yield Finding("warning", "processor", "no AVX", "onnxruntime may end with an illegal instruction; models are "
                      "loaded in a subprocess first", "use streaming detectors, or another board")  # fmt: skip


def memory(device: Device) -> Iterator[Finding]:
    values = {}
    for line in device.read("/proc/meminfo").splitlines():
        key, _, value = line.partition(":")
        values[key] = int(value.split()[0]) * 1024 if value.split()[:1] and value.split()[0].isdigit() else 0
    total, free = values.get("MemTotal", 0), values.get("MemAvailable", 0)
    if not total:
        return
    seen = f"{free / 1e6:.0f} of {total / 1e6:.0f} MB available"
    if free < 128e6:
        yield Finding("problem", "memory", seen, "sensors and detectors need about 100 MB", "stop something else")
    elif free < 512e6:
        yield Finding("warning", "memory", seen, "all five components with a camera take 350 MB",
                      "leave out the vision and upload profiles, or stop something else")  # fmt: skip
    else:
        yield Finding("ok", "memory", seen)


def disk(device: Device) -> Iterator[Finding]:
    place = device.nucleus[1] if device.nucleus else device.top
    while not place.exists():
        place = place.parent
    usage = shutil.disk_usage(place)
    seen = f"{usage.free / GIGABYTE:.1f} of {usage.total / GIGABYTE:.1f} GB free at {place}"
    first, whole = _environments(device)
    takes = f"the install of {' '.join(dict.fromkeys(['core', *device.profiles]))} takes {first / MEGABYTE:.0f} MB"
    if usage.free < first:
        yield Finding("problem", "disk", seen, takes, "free some space")
    elif usage.free < first + whole:
        yield Finding("warning", "disk", seen, f"{takes}, an upgrade that changes every package "
                      f"{whole / MEGABYTE:.0f} MB more: the version before stays", "free some space")  # fmt: skip
    elif usage.free < 4 * GIGABYTE:
        yield Finding("warning", "disk", seen, "the journal's budget is 2 GiB, uploads wait on the disk too",
                      "lower journal.budget, or free some space")  # fmt: skip
    else:
        yield Finding("ok", "disk", seen)
    source, kind, options = _mount(device, place)
    if "ro" in options.split(","):
        yield Finding("problem", "file system", f"{place} is read-only ({kind})", "", "mount it read-write")
    if kind in ("tmpfs", "ramfs"):
        yield Finding("warning", "file system", f"{place} is {kind}", "a power cut takes everything",
                      "put the nucleus's folder on a disk")  # fmt: skip
    if "mmcblk" in source:
        yield Finding("note", "flash", f"{source} ({kind})", "a card or eMMC wears: every stream is written once, and "
                      "synced every journal.sync (1 s)", "raise journal.sync, or use capture policies")  # fmt: skip


def _environments(device: Device) -> tuple[int, int]:
    """Bytes that (the environment of the profiles, one more that shares no package) take while they are made."""
    try:
        beside = Environments(device.runtime, lambda line: None).whole() if device.runtime else []
    except OSError:
        beside = []
    return needed(device.lock, beside), needed(device.lock, [])


def _mount(device: Device, place: Path) -> tuple[str, str, str]:
    """(source, type, options) of the file system that holds a folder."""
    best, found = -1, ("", "", "")
    target = "/" + str(place.resolve().relative_to(device.top.resolve()))
    for line in device.read("/proc/self/mounts").splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        point = fields[1].rstrip("/") + "/"
        if (target.rstrip("/") + "/").startswith(point) and len(point) > best:
            best, found = len(point), (fields[0], fields[2], fields[3])
    return found


def clock(device: Device) -> Iterator[Finding]:
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    if now < RELEASED:
        yield Finding("problem", "clock", stamp, "it was never set: TLS to the cloud fails, samples carry wrong times",
                      "set it, and install chrony or systemd-timesyncd")  # fmt: skip
        return
    keeper = next((name for name in _processes(device) if name in KEEPERS), "")
    kept = discipline()
    if kept is not None:
        by = f" by {keeper}" if keeper else ""
        seen = f"{stamp}, kept{by} to within {kept.uncertainty / 1e6:.0f} ms, last offset {kept.offset / 1e6:.3f} ms"
        yield Finding("ok", "clock", seen)
    elif keeper:
        yield Finding("warning", "clock", f"{stamp}, {keeper} runs and has not synchronised it",
                      "uploaded data go under clock=free", "give it a time server it can reach")  # fmt: skip
    else:
        yield Finding("warning", "clock", f"{stamp}, kept by nobody", "uploaded data go under clock=free",
                      "install chrony or systemd-timesyncd, or linuxptp")  # fmt: skip


KEEPERS = frozenset({"chronyd", "ntpd", "systemd-timesyn", "ptp4l", "phc2sys", "openntpd", "ntpsec"})
"""As /proc/<pid>/comm has them."""


def _processes(device: Device) -> Iterator[str]:
    for name in device.glob("/proc/[0-9]*/comm"):
        yield device.read(name).strip()


def load(device: Device) -> Iterator[Finding]:
    cores, (one, five, _) = os.cpu_count() or 1, os.getloadavg()
    seen = f"{cores} cores, load {one:.1f}, {five:.1f} over five minutes"
    if five > 1.5 * cores:
        yield Finding("warning", "processor", seen, "it has more to do than it can", "stop something else")
    else:
        yield Finding("ok", "processor", seen)
