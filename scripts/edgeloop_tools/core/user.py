"""Who components run as, and with which Python on their PATH."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from edgeloop.errors import EdgeloopError

DEFAULTS = ("ggc_user", "nobody")
_PROBE = "import sys; sys.exit(sys.version_info < (3, 11))"
_PROBES = (f"import ensurepip, venv; {_PROBE}", _PROBE)
"""First choice: a Python that can make virtual environments."""
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Switch(TypedDict, total=False):
    """Arguments of subprocess.Popen that change the user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class ComponentUser:
    """owner: (uid, gid) to give files to; None where the core itself runs as this user."""

    name: str
    home: str
    owner: tuple[int, int] | None
    groups: tuple[int, ...]

    @classmethod
    def find(cls, name: str | None = None) -> ComponentUser:
        """The user of components: the core's own where it is no root, else `name`, ggc_user or nobody."""
        if os.geteuid() != 0:
            me = pwd.getpwuid(os.geteuid())
            if name not in (None, me.pw_name):
                raise EdgeloopError(
                    f"components cannot run as {name}",
                    why="only root can change the user",
                    mend="leave --component-user out",
                )
            return cls(me.pw_name, me.pw_dir, None, ())
        for candidate in (name,) if name else DEFAULTS:
            try:
                entry = pwd.getpwnam(candidate or "")
            except KeyError:
                continue
            if entry.pw_uid == 0:
                raise EdgeloopError("components do not run as root", mend="choose another --component-user")
            groups = {group.gr_gid for group in grp.getgrall() if entry.pw_name in group.gr_mem} | {entry.pw_gid}
            return cls(entry.pw_name, entry.pw_dir, (entry.pw_uid, entry.pw_gid), tuple(sorted(groups)))
        raise EdgeloopError(
            f"there is no user {name or ' or '.join(DEFAULTS)}",
            where="/etc/passwd",
            mend="create one, or give --component-user",
        )

    @property
    def switch(self) -> Switch:
        if self.owner is None:
            return {}
        return {"user": self.owner[0], "group": self.owner[1], "extra_groups": list(self.groups)}

    def check_reaches(self, folder: Path) -> None:
        """Raises EdgeloopError where the user cannot enter `folder`, naming the folder that is closed."""
        if self.owner is None or self._runs(["test", "-x", str(folder)]):
            return
        for closed in [*reversed(folder.parents), folder]:
            if not self._runs(["test", "-x", str(closed)]):
                raise EdgeloopError(
                    f"the user {self.name} of components cannot enter {closed}",
                    where=str(folder),
                    mend=f"choose another --root, or chmod o+x {closed}",
                )

    def python(self) -> Path:
        """A Python ≥ 3.11 that this user can run; raises EdgeloopError."""
        tried = list(_pythons())
        for probe in _PROBES:
            for candidate in tried:
                if self._runs([str(candidate), "-I", "-c", probe]):
                    return candidate
        raise EdgeloopError(
            f"the user {self.name} of components has no Python 3.11 or newer",
            why=f"tried {', '.join(map(str, tried))}",
            mend="install python3 for all users",
        )

    def _runs(self, command: list[str]) -> bool:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                timeout=20,
                cwd="/",
                stderr=subprocess.DEVNULL,
                env={"PATH": _SYSTEM_PATH},
                check=False,
                **self.switch,
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return done.returncode == 0


def _pythons() -> Iterator[Path]:
    """Interpreters outside of virtual environments, nearest first."""
    seen = set()
    names = ["python3", *(f"python3.{minor}" for minor in range(14, 10, -1))]
    search = os.pathsep.join(part for part in (os.environ.get("PATH", ""), _SYSTEM_PATH) if part)
    base = getattr(sys, "_base_executable", None) or sys.executable
    found = [base, *(shutil.which(name, path=folder) for name in names for folder in search.split(os.pathsep))]
    for candidate in found:
        if candidate and candidate not in seen and not Path(candidate).parent.parent.joinpath("pyvenv.cfg").exists():
            seen.add(candidate)
            yield Path(candidate)
