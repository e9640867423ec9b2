"""A device as the doctor sees it: its files below one folder, so that a tree can stand for a device."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import locks
from requirements import Lock

COMPONENT_USERS = ("ggc_user", "gg_component")
"""Of the classic nucleus and of nucleus lite."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user, and the names of all groups it is in."""

    name: str
    uid: int
    groups: frozenset[str]


@dataclass(frozen=True)
class Device:
    """top: where the device's file system begins; root: the nucleus's folder, found where it is not given.

    profiles: what is to be installed.
    """

    top: Path = Path("/")
    root: Path | None = None
    user: str = ""
    profiles: tuple[str, ...] = ("core",)
    machine: str = field(default_factory=lambda: os.uname().machine)

    def path(self, name: str) -> Path:
        """An absolute name on the device."""
        return self.top / name.lstrip("/")

    def read(self, name: str) -> str:
        """A file's text, "" where there is none or it may not be read."""
        try:
            return self.path(name).read_text(errors="replace")
        except OSError:
            return ""

    def glob(self, pattern: str) -> list[str]:
        """Names on the device."""
        return sorted("/" + str(p.relative_to(self.top)) for p in self.top.glob(pattern.lstrip("/")))

    @cached_property
    def lock(self) -> Lock:
        """Of the profiles."""
        return Lock.merge(*map(locks.read, dict.fromkeys(["core", *self.profiles])))

    @cached_property
    def runtime(self) -> Path | None:
        """The Runtime's work folder, where there is a nucleus."""
        return self.nucleus[1] / "work" / "io.edgeloop.Runtime" if self.nucleus else None

    @cached_property
    def account(self) -> Account | None:
        """The one that components run as."""
        for name in (self.user,) if self.user else COMPONENT_USERS:
            for line in self._lines("/etc/passwd"):
                if line[0] == name and len(line) > 3:
                    known = self._lines("/etc/group")
                    groups = frozenset(g[0] for g in known if g[2:3] == [line[3]] or name in g[-1].split(","))
                    return Account(name, int(line[2]), groups)
        return None

    def _lines(self, name: str) -> Iterator[list[str]]:
        for line in self.read(name).splitlines():
            if line and not line.startswith("#"):
                yield line.split(":")

    def group_of(self, name: str) -> tuple[str, bool]:
        """(group that owns a node, whether that group or everybody may read and write it)."""
        status = self.path(name).stat()
        mode = stat.S_IMODE(status.st_mode)
        allowed = mode & 0o060 == 0o060 or mode & 0o006 == 0o006
        for line in self._lines("/etc/group"):
            if line[2:3] == [str(status.st_gid)]:
                return line[0], allowed
        return str(status.st_gid), allowed

    @cached_property
    def nucleus(self) -> tuple[str, Path] | None:
        """(flavour, root folder) of the nucleus that is installed: classic, lite or core."""
        if self.root is not None:
            return self._flavour(self.root) or ("unknown", self.root)
        for line in self.read("/etc/greengrass/config.yaml").splitlines():
            key, _, value = line.strip().partition(":")
            if key == "rootPath":
                return "lite", self.path(value.strip().strip("\"'"))
        for name in ("/greengrass/v2", "/var/lib/greengrass"):
            if found := self._flavour(self.path(name)):
                return found
        return None

    def _flavour(self, root: Path) -> tuple[str, Path] | None:
        if (root / "alts").is_dir() or (root / "config" / "effectiveConfig.yaml").is_file():
            return "classic", root
        if (root / "control.sock").exists():
            return "core", root
        if (root / "config.db").is_file() or self.path("/etc/greengrass/config.yaml").is_file():
            return "lite", root
        return None


def me() -> str:
    """Who runs the doctor."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


