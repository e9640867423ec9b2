"""Locks: requirements with hashes, and what their headers say of sizes and reach. Standard library only."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Lock:
    """What an environment holds: requirements with hashes (pip's file format), and what its header says of them.

    download, disk: bytes, measured when the lock was made. sizes: package → bytes of its wheel and on disk.
    glibc: minor version of the oldest glibc 2 that all its wheels run on, 0 where it is not known.
    musl: whether they run on musl too.
    """

    text: str
    imports: tuple[str, ...] = ()
    download: int = 0
    disk: int = 0
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    glibc: int = field(default=0, repr=False)
    musl: bool = field(default=False, repr=False)

    @classmethod
    def merge(cls, *texts: str) -> Lock:
        """One lock from several that were resolved together and share what the smallest of them holds.

        >>> a = "# imports: one\\n# megabytes: 2 download, 5 disk\\none==1 \\\\\\n    --hash=sha256:aa\\n"
        >>> b = a.replace("5 disk", "9 disk").replace("imports: one", "imports: one two")
        >>> Lock.merge(a, b)
        Lock(text='one==1 --hash=sha256:aa\\n', imports=('one', 'two'), download=2000000, disk=9000000)
        >>> c = "# kB of wheel and on disk: one 10 20\\n# wheels: x86_64, Python 3.11, glibc 2.28, musl\\none==1\\n"
        >>> Lock.merge(c, c).disk, Lock.merge(c).glibc, Lock.merge(c).musl
        (20000, 28, True)
        """
        requirements: dict[str, None] = {}
        imports: dict[str, None] = {}
        totals: list[tuple[int, int]] = []
        sizes: dict[str, tuple[int, int]] = {}
        for text in texts:
            if found := re.search(r"^# imports: (.*)$", text, re.M):
                imports.update(dict.fromkeys(found[1].split()))
            if found := re.search(r"^# megabytes: (\d+) download, (\d+) disk$", text, re.M):
                totals.append((int(found[1]) * MEGABYTE, int(found[2]) * MEGABYTE))
            if found := re.search(r"^# kB of wheel and on disk: (.*)$", text, re.M):
                for name, wheel, disk in (each.split() for each in found[1].split(", ")):
                    sizes[name] = int(wheel) * 1000, int(disk) * 1000
            body = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", text, flags=re.M))
            requirements.update(dict.fromkeys(" ".join(line.split()) for line in body.splitlines() if line.strip()))
        shared = min(totals, default=(0, 0))
        download, disk = (sum(size[n] - shared[n] for size in totals) + shared[n] for n in (0, 1))
        if sizes:
            download, disk = (sum(size[n] for size in sizes.values()) for n in (0, 1))
        pattern = re.compile(r"^# wheels: .*glibc 2\.(\d+)(, musl)?$", re.M)
        reaches = [found for text in texts if (found := pattern.search(text))]
        glibc = max((int(found[1]) for found in reaches), default=0)
        musl = len(reaches) == len(texts) and all(found[2] for found in reaches)
        joined = "\n".join(sorted(requirements)) + "\n"
        return cls(joined, tuple(imports), download, disk, sizes, glibc, musl)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line]

    def pins(self) -> set[str]:
        """Name and version of each.

        >>> sorted(Lock.merge("b==1 --hash=sha256:aa", "a==2 ; sys_platform == 'linux' --hash=sha256:bb").pins())
        ['a==2', 'b==1']
        """
        return {line.split()[0] for line in self.lines}

    def names(self) -> list[str]:
        """
        >>> Lock.merge("b==1 --hash=sha256:aa", "a==2 ; sys_platform == 'linux' --hash=sha256:bb").names()
        ['a', 'b']
        """
        return sorted({line.partition("==")[0] for line in self.lines})

    def missing(self, there: set[str]) -> tuple[int, int]:
        """(bytes to download, bytes on disk) of the packages whose pins are not among those."""
        sizes = [self.sizes.get(canonical(p.partition("==")[0]), (0, 0)) for p in self.pins() if p not in there]
        return sum(size[0] for size in sizes), sum(size[1] for size in sizes)


def canonical(name: str) -> str:
    """
    >>> canonical("Typing_Extensions")
    'typing-extensions'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def hashes(line: str) -> set[str]:
    return set(re.findall(r"--hash=(\S+)", line))
