"""Greengrass on the device: the nucleus, the Runtime's environment, Stream Manager and token exchange."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from doctor.device import Device
from doctor.finding import Finding
from environment import Environments

COMMANDS = {"classic": "bin/greengrass-cli", "lite": "ggl-cli"}
STREAM_MANAGER, TOKEN_EXCHANGE = "aws.greengrass.StreamManager", "aws.greengrass.TokenExchangeService"
PORT = 8088
"""Where Stream Manager listens unless it is told otherwise."""


def nucleus(device: Device) -> Iterator[Finding]:
    if device.nucleus is None:
        yield Finding("warning", "nucleus", "none found",
                      "looked at /etc/greengrass, /greengrass/v2, /var/lib/greengrass",
                      "install one, or name its folder with --root")  # fmt: skip
        return
    flavour, root = device.nucleus
    if not root.is_dir():
        yield Finding("problem", "nucleus", f"{flavour}, but {root} is no folder", "", "name its folder with --root")
        return
    if not os.access(root, os.X_OK):
        yield Finding("problem", "nucleus", f"{flavour} at {root}", "this user may not look into it", "run with sudo")
        return
    yield Finding("ok", "nucleus", f"{_NAMES[flavour]} at {root}{_version(flavour, root)}")
    command = COMMANDS.get(flavour)
    if command and not ((root / command).exists() or shutil.which(Path(command).name)):
        mend = "add aws.greengrass.Cli to a deployment" if flavour == "classic" else "install ggl-cli"
        yield Finding("note", "command line", f"no {Path(command).name}", "local deployments need it", mend)


_NAMES = {"classic": "classic nucleus", "lite": "nucleus lite", "core": "local core", "unknown": "no known nucleus"}


def _version(flavour: str, root: Path) -> str:
    known = sorted((root / "packages" / "artifacts" / "aws.greengrass.Nucleus").glob("*"))
    return f", version {known[-1].name}" if flavour == "classic" and known else ""


def runtime(device: Device) -> Iterator[Finding]:
    """The shared environment: there, complete, and its interpreter still there after an upgrade of the system."""
    if device.nucleus is None:
        return
    work = device.nucleus[1] / "work" / "io.edgeloop.Runtime"
    log = f"{device.nucleus[1]}/logs/io.edgeloop.Runtime.log"
    if not _visible(work):
        yield Finding("note", "Runtime", f"{work} cannot be seen", "work folders are private to the component user",
                      "run with sudo")  # fmt: skip
        return
    if not work.is_dir():
        yield Finding("note", "Runtime", "not installed yet")
        return
    environments = Environments(work, lambda line: None)
    folder = environments.current()
    if folder is not None:
        yield Finding("ok", "Runtime", f"{folder.name}, {len(list((work / 'venvs').iterdir()))} kept")
        yield from _profiles(environments, log)
        return
    if environments.busy():
        yield Finding("note", "Runtime", f"being built: {' '.join(environments.asked())}", f"{log} says how far it is")
        return
    wanted = environments.link.resolve()
    python = wanted / "bin" / "python"
    if wanted.is_dir() and not python.exists():
        yield Finding("problem", "Runtime", f"{wanted.name} has lost its Python ({os.path.realpath(python)})",
                      "the operating system's Python was replaced",
                      "deploy again: install makes a new environment")  # fmt: skip
    else:
        yield Finding("problem", "Runtime", "no complete environment", "its install failed or was cut short",
                      f"read {log}")  # fmt: skip


def _profiles(environments: Environments, log: str) -> Iterator[Finding]:
    """Of what was asked for: there, being built, or not there."""
    held, asked = environments.held(), environments.asked()
    lacking = " ".join(word for word in asked if word not in held)
    if not held or not asked:
        return
    if not lacking:
        yield Finding("ok", "profiles", f"{' '.join(asked)}: asked for and there")
    elif environments.busy():
        yield Finding("note", "profiles", f"{' '.join(held)} there, {lacking} being built")
    else:
        yield Finding("problem", "profiles", f"{' '.join(held)} there, {lacking} asked for and not there",
                      "its install failed or was cut short; it is tried again", f"read {log}")  # fmt: skip


def _visible(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        return False
    except OSError:
        pass
    return True


def cloud(device: Device) -> Iterator[Finding]:
    """What StreamUpload and ModelUpdate need beside them; problems only where one of the two is installed."""
    if device.nucleus is None or device.nucleus[0] == "core":
        return
    packages = device.nucleus[1] / "packages" / "artifacts"
    if not _visible(packages):
        return
    wanted = (packages / "io.edgeloop.StreamUpload").is_dir()
    listening = _listens(PORT)
    if listening:
        yield Finding("ok", "Stream Manager", f"listens on port {PORT}")
    elif wanted:
        there = (packages / STREAM_MANAGER).is_dir()
        yield Finding("warning", "Stream Manager", f"nothing listens on port {PORT}", "uploads wait on the disk",
                      f"restart {STREAM_MANAGER}" if there else f"add {STREAM_MANAGER} to the deployment")  # fmt: skip
    else:
        yield Finding("note", "Stream Manager", "not there", "needed for uploads only")
    if wanted or (packages / "io.edgeloop.ModelUpdate").is_dir():
        configured = "iotRoleAlias" in _configuration(device)
        if configured:
            yield Finding("ok", "token exchange", "a role alias is configured")
        else:
            yield Finding("warning", "token exchange", "no role alias seen",
                          "uploads and models from S3 need credentials",
                          "set iotRoleAlias of the nucleus, and look with sudo")  # fmt: skip


def logs(device: Device) -> Iterator[Finding]:
    """What components print is written down by the nucleus: who on the device may read it."""
    if device.nucleus is None:
        return
    flavour, root = device.nucleus
    folders = [root / "logs"]
    if flavour == "lite":
        folders += [device.path("/var/log/journal"), device.path("/run/log/journal")]
    seen = bare = 0
    for folder in folders:
        if _closed(folder, device.top):
            continue
        for path in sorted(folder.rglob("*")):
            try:
                mode = path.lstat().st_mode
            except OSError:
                continue
            seen += stat.S_ISREG(mode)
            bare += stat.S_ISREG(mode) and bool(mode & stat.S_IROTH)
    if bare:
        where = " and ".join(str(folder) for folder in folders if folder.is_dir())
        yield Finding("warning", "log files", f"{bare} of {seen} below {where} are readable by everybody on the device",
                      "the nucleus writes them so; they name machines, hosts and topics, and no secret of ours",
                      f"chmod 0750 {root / 'logs'}, or the nucleus's umask 027")  # fmt: skip
    elif seen:
        yield Finding("ok", "log files", "not for everybody on the device")


def _closed(folder: Path, top: Path) -> bool:
    """Whether others cannot come to what is in a folder, or this user cannot look."""
    while folder not in (top, folder.parent):
        try:
            if not folder.stat().st_mode & stat.S_IXOTH:
                return True
        except OSError:
            return True
        folder = folder.parent
    return False


def _configuration(device: Device) -> str:
    assert device.nucleus is not None
    text = device.read("/etc/greengrass/config.yaml")
    try:
        return text + (device.nucleus[1] / "config" / "effectiveConfig.yaml").read_text(errors="replace")
    except OSError:
        return text


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
