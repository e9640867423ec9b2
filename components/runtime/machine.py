"""Whether the packages can have wheels for this interpreter: width, machine and C library. Standard library only."""

from __future__ import annotations

import os
import platform
import struct
import sysconfig

from requirements import Lock

MACHINES = ("x86_64", "aarch64")
MEND = "use a 64-bit glibc operating system"


def libc() -> tuple[str, tuple[int, ...]]:
    """("glibc", (2, 36)) or ("musl", ()) or ("", ())."""
    name, version = platform.libc_ver()
    if name == "glibc":
        return name, tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if "musl" in str(sysconfig.get_config_var("SOABI") or "") + str(sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
        return "musl", ()
    return name, ()


def bits() -> int:
    """Of the interpreter, whatever the kernel's are."""
    return 8 * struct.calcsize("P")


def refusal(lock: Lock, machine: str | None = None, width: int | None = None,
            library: tuple[str, tuple[int, ...]] | None = None) -> tuple[str, str]:  # fmt: skip
    """(why no wheel can fit here, what to do), ("", "") where they can.

    >>> refusal(Lock("", glibc=28), "aarch64", 32, ("glibc", (2, 36)))[0]
    'this Python has 32 bits, on a 64-bit kernel: no package has wheels for it'
    >>> refusal(Lock("", glibc=28), "armv7l", 32, ("glibc", (2, 36)))[0]
    'no package has wheels for armv7l'
    >>> refusal(Lock("", glibc=28), "x86_64", 64, ("musl", ()))[0]
    'not every package asked for has wheels for musl'
    >>> refusal(Lock("", glibc=28, musl=True), "x86_64", 64, ("musl", ()))
    ('', '')
    >>> refusal(Lock("", glibc=28), "x86_64", 64, ("glibc", (2, 27)))[0]
    'the packages need glibc 2.28 or newer, this is 2.27'
    """
    machine, width = machine or os.uname().machine, width or bits()
    name, version = library or libc()
    if machine not in MACHINES:
        return f"no package has wheels for {machine}", MEND
    if width != 64:
        return f"this Python has {width} bits, on a 64-bit kernel: no package has wheels for it", MEND
    if not lock.glibc:
        return "", ""
    if name == "musl":
        return ("", "") if lock.musl else (
            "not every package asked for has wheels for musl", f"leave out the vision profile, or {MEND}"
        )  # fmt: skip
    if name == "glibc" and version and version < (2, lock.glibc):
        seen = ".".join(map(str, version))
        return f"the packages need glibc 2.{lock.glibc} or newer, this is {seen}", "upgrade the distribution"
    return "", ""
