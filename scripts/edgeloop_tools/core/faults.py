"""Faults that tests inject into a running core."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeloop_tools.core import builtin
from edgeloop_tools.core.bus_process import BusProcess
from edgeloop_tools.core.control import ControlError, Peer, methods
from edgeloop_tools.core.supervisor import Supervisor, limit_files
from edgeloop_tools.core.token_exchange import TokenExchange

log = logging.getLogger("edgeloop.core")

_BALLAST = ".full_disk"
_MEGABYTE = 1 << 20


class Faults:
    """`inject` takes the kinds below; every other goes to the bus.

    kill       component, signal=9         to the leader of its group, as soon as there is one
    kill_bus
    full_disk  component, bytes=16 MiB     its work folder becomes a small file system (the component is restarted
                                           once), which is then filled; without the right to mount: files end at
                                           `bytes`
    disk_room  component                   room again in that file system
    disk_back  component                   the work folder as it was, with what was written since
    network    offline                     no IoT Core, no credentials, no S3 and Kinesis
    s3_refuse         on=True, code=AccessDenied, times    S3 answers an export with an error, `times` or always
    kinesis_throttle  on=True, share=1, times              Kinesis refuses this share of the records
    kill_stream_manager
    die                                    kill -9 of a classic nucleus: its components go on as orphans, and nobody
                                           answers until the core is started again, which runs a second set
    """

    def __init__(self, supervisor: Supervisor, bus: BusProcess, token_exchange: TokenExchange) -> None:
        self._supervisor, self._bus, self._token_exchange = supervisor, bus, token_exchange
        self._mounted: set[Path] = set()
        self._stream_manager: Peer | None = None
        self._stream_manager_faults: dict[str, dict[str, Any]] = {}

    async def inject(self, kind: str, arguments: Mapping[str, Any]) -> Any:
        match kind:
            case "kill":
                return await self._kill(str(arguments.get("component")), int(arguments.get("signal", signal.SIGKILL)))
            case "kill_bus":
                return self._kill_bus()
            case "full_disk":
                size = int(arguments.get("bytes", 16 * _MEGABYTE))
                return await self._full_disk(str(arguments.get("component")), size)
            case "disk_room":
                return self._disk_room(str(arguments.get("component")))
            case "disk_back":
                return await self._disk_back(str(arguments.get("component")))
            case "network":
                self._token_exchange.offline = bool(arguments.get("offline", True))
                await self._tell_stream_manager("offline", {"on": self._token_exchange.offline})
                return await self._bus.fault("iot_offline", {"offline": self._token_exchange.offline})
            case "die":
                return self._die()
            case "kill_stream_manager":
                return await self._kill(builtin.STREAM_MANAGER, signal.SIGKILL)
            case "s3_refuse" | "kinesis_throttle":
                return await self._tell_stream_manager(kind, dict(arguments))
        return await self._bus.fault(kind, dict(arguments))

    async def close(self) -> None:
        for work in list(self._mounted):
            await asyncio.to_thread(_unmount, work)
        self._mounted.clear()

    def attach_stream_manager(self, peer: Peer) -> list[dict[str, Any]]:
        """Stream Manager's process says hello: the faults that are in force."""
        self._stream_manager, peer.name = peer, "Stream Manager"
        return list(self._stream_manager_faults.values())

    async def _tell_stream_manager(self, kind: str, arguments: dict[str, Any]) -> Any:
        fault = {"kind": kind, "arguments": arguments}
        peer, answer = self._stream_manager, None
        if peer and not peer.closed.is_set():
            answer = await peer.call(methods.FAULT, fault)
        if arguments.get("on", True) and "times" not in arguments:
            self._stream_manager_faults[kind] = fault
        else:
            self._stream_manager_faults.pop(kind, None)
        return answer

    async def _kill(self, name: str, number: int) -> dict[str, int]:
        service = self._supervisor.service(name)
        try:
            async with asyncio.timeout(5):
                while not (pids := service.pids) and service.active:
                    await self._supervisor.change()
        except TimeoutError:
            pids = []
        if not pids:
            raise ControlError(f"cannot kill {name}", why="it has no process")
        os.kill(pids[0], number)
        return {"pid": pids[0]}

    def _kill_bus(self) -> dict[str, int]:
        pid = self._bus.pid
        if pid is None:
            raise ControlError("cannot kill the bus", why="it has no process")
        os.kill(pid, signal.SIGKILL)
        return {"pid": pid}

    def _die(self) -> None:
        if self._supervisor.nucleus != "classic":
            why = "on nucleus lite components belong to systemd, which outlives its daemons"
            raise ControlError("a core of nucleus lite does not die so", why=why, code="invalid")
        own = [pid for service in self._supervisor.services.values() if not service.plan.core for pid in service.pids]
        self._supervisor.groups.abandon(own)
        os.kill(os.getpid(), signal.SIGKILL)

    async def _full_disk(self, name: str, size: int) -> dict[str, str]:
        service = self._supervisor.service(name)
        work = service.plan.work
        if work not in self._mounted:
            active = service.active
            await service.stop()
            try:
                mounted = os.geteuid() == 0 and await asyncio.to_thread(_mount, work, size)
            finally:
                if active:
                    service.start()
            if not mounted:
                self._supervisor.file_limits[name] = size
                for pid in service.pids:
                    limit_files(pid, size)
                return {"means": "file size limit"}
            self._mounted.add(work)
            if active:
                await self._supervisor.wait([name], ["RUNNING", "FINISHED"], 60)
        await asyncio.to_thread(_fill, work)
        return {"means": "file system"}

    def _disk_room(self, name: str) -> None:
        if self._supervisor.file_limits.pop(name, None) is not None:
            for pid in self._supervisor.service(name).pids:
                limit_files(pid, resource.RLIM_INFINITY)
        (self._supervisor.service(name).plan.work / _BALLAST).unlink(missing_ok=True)

    async def _disk_back(self, name: str) -> None:
        self._disk_room(name)
        service = self._supervisor.service(name)
        if service.plan.work in self._mounted:
            active = service.active
            await service.stop()
            await asyncio.to_thread(_unmount, service.plan.work)
            self._mounted.discard(service.plan.work)
            if active:
                service.start()


def clean(root: Path) -> None:
    """Unmount what a core that died left mounted below its work folders."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    for line in mounts:
        folder = Path(line.split(" ")[1].encode().decode("unicode_escape"))
        if folder.parent == root / "work":
            _unmount(folder)


def _mount(work: Path, size: int) -> bool:
    owner = work.stat()
    aside = work.with_name(f".{work.name}.disk")
    aside.mkdir(mode=0o700, exist_ok=True)
    os.chown(aside, owner.st_uid, owner.st_gid)
    options = f"size={size},mode=0700,uid={owner.st_uid},gid={owner.st_gid}"
    if not _runs("mount", "-t", "tmpfs", "-o", options, "edgeloop", str(aside)):
        aside.rmdir()
        return False
    try:
        _copy_tree(work, aside)
        moved = _runs("mount", "--move", str(aside), str(work)) or _rebind(aside, work)
    except (OSError, shutil.Error):
        moved = False
    if not moved:
        _runs("umount", str(aside))
    aside.rmdir()
    if not moved:
        raise ControlError("cannot make the small file system", where=str(work), mend="give more bytes")
    return True


def _rebind(aside: Path, work: Path) -> bool:
    return _runs("mount", "--bind", str(aside), str(work)) and _runs("umount", str(aside))


def _unmount(work: Path) -> None:
    """Take the file system away and keep what is on it."""
    (work / _BALLAST).unlink(missing_ok=True)
    kept = work.with_name(f".{work.name}.kept")
    shutil.rmtree(kept, ignore_errors=True)
    _copy_tree(work, kept)
    if not _runs("umount", "--lazy", str(work)):
        raise ControlError("cannot unmount", where=str(work))
    shutil.rmtree(work)
    kept.rename(work)


def _copy_tree(source: Path, target: Path) -> None:
    """With the owners and permissions of files and folders."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, copy_function=_copy)
    for folder, _, _ in os.walk(source):
        owner = os.stat(folder)
        os.chown(target / Path(folder).relative_to(source), owner.st_uid, owner.st_gid)


def _copy(source: str, target: str) -> None:
    shutil.copy2(source, target, follow_symlinks=False)
    owner = os.stat(source, follow_symlinks=False)
    os.chown(target, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _fill(work: Path) -> None:
    block = bytes(1 << 16)
    descriptor = os.open(work / _BALLAST, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        while True:
            os.write(descriptor, block)
    except OSError as error:
        log.info("full disk: %s (%s)", work, error.strerror)
    finally:
        os.close(descriptor)


def _runs(*command: str) -> bool:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        log.info("%s: %s", command[0], done.stderr.decode(errors="replace").strip())
    return done.returncode == 0
