"""The doctor on trees that stand for devices, and as a device runs it: one file, no repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import doctor
from doctor import access, machine, nucleus
from doctor.device import Device
from doctor.finding import Finding
from edgeloop_tools.build import build
from environment import Environments, locked

MEMORY = "MemTotal: {total} kB\nMemAvailable: {free} kB\n"


def write(top: Path, name: str, text: str = "") -> Path:
    path = top / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write(tmp_path, "/etc/passwd", "root:x:0:0::/root:/bin/sh\nggc_user:x:990:990::/home/ggc_user:/bin/sh\n")
    write(tmp_path, "/etc/group", f"video:x:{os.getgid()}:\nggc_group:x:990:\ndialout:x:20:ggc_user\n")
    write(tmp_path, "/proc/meminfo", MEMORY.format(total=4_000_000, free=2_000_000))
    write(tmp_path, "/proc/cpuinfo", "flags : fpu avx avx2\n")
    return tmp_path


def one(findings: list[Finding], what: str) -> Finding:
    return next(f for f in findings if f.what == what)


def test_a_device_in_order_has_no_problem(tree: Path) -> None:
    (tree / "greengrass/v2/alts").mkdir(parents=True)
    findings = doctor.examine(Device(top=tree, machine="aarch64"))
    assert not doctor.failed(findings)
    assert one(findings, "nucleus").seen.startswith("classic nucleus")
    assert one(findings, "user").seen.startswith("ggc_user (990), in dialout, ggc_group")


@pytest.mark.parametrize(("free", "level"), [(50_000, "problem"), (300_000, "warning"), (900_000, "ok")])
def test_memory(tree: Path, free: int, level: str) -> None:
    write(tree, "/proc/meminfo", MEMORY.format(total=1_000_000, free=free))
    assert [f.level for f in machine.memory(Device(top=tree))] == [level]


def test_architecture(tree: Path) -> None:
    assert [f.level for f in machine.architecture(Device(top=tree, machine="armv7l"))] == ["problem"]
    write(tree, "/proc/cpuinfo", "flags : fpu sse2\n")
    found = {f.what: f.level for f in machine.architecture(Device(top=tree, machine="x86_64"))}
    assert found["processor"] == "warning"


def test_a_card_and_a_file_system_that_forgets(tree: Path) -> None:
    write(tree, "/proc/self/mounts", "/dev/mmcblk0p2 / ext4 rw,noatime 0 0\ntmpfs /greengrass tmpfs rw 0 0\n")
    assert {f.what for f in machine.disk(Device(top=tree))} == {"disk", "flash"}
    (tree / "greengrass/v2/alts").mkdir(parents=True)
    found = {f.what: f for f in machine.disk(Device(top=tree))}
    assert found["file system"].level == "warning"
    write(tree, "/proc/self/mounts", "/dev/sda1 / ext4 ro,relatime 0 0\n")
    found = {f.what: f for f in machine.disk(Device(top=tree))}
    assert found["file system"].level == "problem"


def test_nodes_that_the_component_user_may_not_use(tree: Path) -> None:
    camera = write(tree, "/dev/video0")
    camera.chmod(0o660)
    account = Device(top=tree).account
    assert account is not None
    found = one(list(access.nodes(Device(top=tree))), "cameras")
    assert found.level == "warning"
    assert found.mend == "sudo usermod -aG video ggc_user, then restart the nucleus"
    write(tree, "/etc/group", f"video:x:{os.getgid()}:ggc_user\n")
    assert one(list(access.nodes(Device(top=tree))), "cameras").level == "ok"
    camera.chmod(0o600)
    assert one(list(access.nodes(Device(top=tree))), "cameras").level == "warning"


def test_no_user_and_a_user_that_is_root(tree: Path) -> None:
    assert [f.level for f in access.user(Device(top=tree, user="nobody_here"))] == ["warning"]
    assert [f.level for f in access.user(Device(top=tree, user="root"))] == ["problem"]


def test_lite_is_found_by_its_configuration(tree: Path) -> None:
    write(tree, "/etc/greengrass/config.yaml", "system:\n  rootPath: \"/var/lib/greengrass\"\n")
    (tree / "var/lib/greengrass").mkdir(parents=True)
    device = Device(top=tree)
    assert device.nucleus == ("lite", tree / "var/lib/greengrass")
    assert next(nucleus.nucleus(device)).seen.startswith("nucleus lite")


def test_an_environment_whose_python_went_away(tree: Path) -> None:
    root = tree / "greengrass/v2"
    (root / "alts").mkdir(parents=True)
    work = root / "work/io.edgeloop.Runtime"
    folder = work / "venvs/0123-3.11"
    write(folder, "edgeloop.lock")
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(sys.executable)
    (folder / "lib" / Path(sys.executable).resolve().name).mkdir(parents=True)
    (work / "venv").symlink_to("venvs/0123-3.11")
    assert [f.level for f in nucleus.runtime(Device(top=tree))] == ["ok"]
    (folder / "bin/python").unlink()
    (folder / "bin/python").symlink_to("/usr/bin/python3.0")
    found = next(nucleus.runtime(Device(top=tree)))
    assert found.level == "problem"
    assert "lost its Python" in found.seen
    shutil.rmtree(folder)
    assert next(nucleus.runtime(Device(top=tree))).seen == "no complete environment"


def test_what_of_the_profiles_is_there(tree: Path) -> None:
    root = tree / "greengrass/v2"
    (root / "alts").mkdir(parents=True)
    work = root / "work/io.edgeloop.Runtime"
    folder = work / "venvs/0123-3.11"
    write(folder, "edgeloop.lock")
    write(folder, "edgeloop.profiles", "core protocols")
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(sys.executable)
    (folder / "lib" / Path(sys.executable).resolve().name).mkdir(parents=True)

    def state() -> tuple[str, str]:
        found = list(nucleus.runtime(Device(top=tree)))[-1]
        return found.level, found.seen

    with locked(work, print):
        Environments(work, print).ask(["core", "protocols"])
        assert state() == ("note", "being built: core protocols")
    assert state() == ("problem", "no complete environment")
    (work / "venv").symlink_to("venvs/0123-3.11")
    assert state() == ("ok", "core protocols: asked for and there")
    Environments(work, print).ask(["core", "protocols", "vision"])
    with locked(work, print):
        assert state() == ("note", "core protocols there, vision being built")
    assert state() == ("problem", "core protocols there, vision asked for and not there")


@pytest.mark.parametrize(("free", "level"), [(100, "problem"), (500, "warning"), (900, "warning"), (9_000, "ok")])
def test_room_for_the_install_and_for_an_upgrade(
    tree: Path, free: int, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(top=tree, profiles=("vision",), machine="x86_64")
    whole = device.lock.disk / 1e6
    assert 250 < whole < 450
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**10, 10**10, free * 10**6))
    found = next(machine.disk(device))
    assert found.level == level
    assert ("the install of core vision takes 3" in found.why) == (free < 900)
    assert ("an upgrade that changes every package 3" in found.why) == (free == 500)


def test_uploads_without_stream_manager(tree: Path) -> None:
    root = tree / "greengrass/v2"
    (root / "alts").mkdir(parents=True)
    (root / "packages/artifacts/io.edgeloop.StreamUpload").mkdir(parents=True)
    found = {f.what: f for f in nucleus.cloud(Device(top=tree))}
    assert found["token exchange"].level == "warning"
    write(root, "config/effectiveConfig.yaml", "iotRoleAlias: \"GreengrassRole\"\n")
    assert {f.what: f.level for f in nucleus.cloud(Device(top=tree))}["token exchange"] == "ok"


def test_a_check_that_fails_is_a_finding(tree: Path) -> None:
    write(tree, "/etc/passwd", "ggc_user:x:many:990::\n")
    findings = doctor.examine(Device(top=tree))
    assert any(f.seen == "could not be looked at" for f in findings)


def test_one_file_on_a_device_without_the_repository(tmp_path: Path) -> None:
    archive = build(["io.edgeloop.Runtime"], tmp_path / "artifacts")[0].path
    command = [sys.executable, "-I", str(archive), "doctor", "--root", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    findings = [Finding(**f) for f in json.loads(done.stdout)]
    assert {"Python", "venv", "memory", "disk", "clock", "user", "nucleus"} <= {f.what for f in findings}
    assert done.returncode == int(doctor.failed(findings))
    assert done.stderr == ""


def test_logs_that_everybody_on_the_device_may_read(tree: Path) -> None:
    (tree / "greengrass/v2/alts").mkdir(parents=True)
    log = write(tree, "/greengrass/v2/logs/greengrass.log", "line")
    log.chmod(0o644)
    found = one(doctor.examine(Device(top=tree, machine="aarch64")), "log files")
    assert (found.level, found.seen.split(" below")[0]) == ("warning", "1 of 1")
    log.chmod(0o640)
    assert [f.level for f in nucleus.logs(Device(top=tree))] == ["ok"]
    log.chmod(0o644)
    log.parent.chmod(0o750)
    assert list(nucleus.logs(Device(top=tree))) == []
