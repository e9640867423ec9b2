"""Which nucleus this machine has, looked for where `doctor` looks."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from edgeloop_tools.nucleus.classic import Classic
from edgeloop_tools.nucleus.core import Core
from edgeloop_tools.nucleus.lite import CONFIGURATION, Lite
from edgeloop_tools.nucleus.model import Nucleus

CLASSIC = Path("/greengrass/v2")
ROOT = "EDGELOOP_NUCLEUS"
"""The variable that names a nucleus's folder, as --root does."""


def find(root: Path | None = None) -> Nucleus:
    """The nucleus at `root` (or $EDGELOOP_NUCLEUS), else the core that $EDGELOOP_CORE_ROOT names, else the nucleus that
    is installed, else the local core."""
    from edgeloop_tools.core import daemon

    named = root or (Path(os.environ[ROOT]) if os.environ.get(ROOT) else None)
    if named is not None:
        named = named.absolute()
        if (named / "bin" / "greengrass-cli").exists():
            return Classic(named, str(named / "bin" / "greengrass-cli"))
        if (named / "config.db").exists():
            return Lite(named, shutil.which("ggl-cli") or "ggl-cli")
        return Core(named)
    if os.environ.get("EDGELOOP_CORE_ROOT"):
        return Core(daemon.default_root().absolute())
    if (CLASSIC / "bin" / "greengrass-cli").exists():
        return Classic(CLASSIC, str(CLASSIC / "bin" / "greengrass-cli"))
    if program := shutil.which("greengrass-cli"):
        return Classic(Path(program).resolve().parents[1], program)
    if program := shutil.which("ggl-cli"):
        return Lite(_lite_root(), program)
    return Core(daemon.default_root().absolute())


def _lite_root() -> Path:
    """From nucleus lite's own configuration file."""
    try:
        found = re.search(r"""^\s*rootPath:\s*["']?([^"'\s#]+)""", CONFIGURATION.read_text(), re.MULTILINE)
    except OSError:
        found = None
    return Path(found[1]) if found else Path("/var/lib/greengrass")
