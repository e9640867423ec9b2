"""The core's own end: nothing outlives it, and the next start goes on where it was."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core import daemon
from edgeloop_tools.core.control import ControlError
from edgeloop_tools.core.lifecycle import Groups


def test_kill_9_of_the_core_takes_all_with_it_and_the_next_resumes(folder: Any, nucleus: str) -> None:
    folder.component("t.A", "sleep 1000 & echo begun; exec sleep 1000", install="echo installed")
    folder.component("t.B")
    core = folder.start(nucleus, bus=True)
    folder.deploy(core, "t.A", "t.B", merge={"t.A": {"x": 1}})
    folder.said("t.A", "begun")
    status = core.status()
    pids = [pid for entry in core.components() for pid in entry.pids]
    os.kill(status["pid"], signal.SIGKILL)
    assert folder.gone(status["pid"], status["bus_pid"], *pids)
    assert (folder.root / "control.sock").exists()
    core.close()
    core = folder.start(nucleus, bus=True)
    assert core.wait_state("t.A").configuration == {"x": 1}
    core.wait_state("t.B")
    assert folder.log("t.A").count("installed") == (2 if nucleus == "classic" else 1)
    socket_path, _ = core.observer()
    assert socket_path.is_socket()


def test_versions_and_configuration_stay_together_whenever_the_core_is_killed(folder: Any) -> None:
    random = Random(7)
    folder.component("t.A")
    core = folder.start()
    folder.deploy(core, "t.A", merge={"t.A": {"n": "1.0.0"}})
    for round_ in range(1, 7):
        version = f"1.0.{round_}"
        folder.component("t.A", version=version)
        core.deploy({"t.A": version}, {"t.A": {"n": version}}, recipe_dir=folder.recipes)
        time.sleep(random.uniform(0, 0.45))
        pid = core.status()["pid"]
        os.kill(pid, signal.SIGKILL)
        assert folder.gone(pid)
        core.close()
        core = folder.start()
        entry = core.wait_state("t.A")
        assert entry.configuration == {"n": entry.version}
    assert {status.status for status in core.deployments()} <= {"SUCCEEDED", "FAILED"}


def test_sigterm_stops_it_all(folder: Any) -> None:
    folder.component("t.A")
    core = folder.start()
    folder.deploy(core, "t.A")
    pid, own = core.component("t.A").pid, core.status()["pid"]
    os.kill(own, signal.SIGTERM)
    assert folder.gone(own, pid)
    assert not (folder.root / "control.sock").exists()
    with pytest.raises(ControlError) as closed:
        core.components()
    assert closed.value.code == "closed"


def test_a_fresh_start_forgets_deployments_and_keeps_work(folder: Any) -> None:
    folder.component("t.A", "echo kept > file; exec sleep 100")
    core = folder.start()
    folder.deploy(core, "t.A")
    core.stop()
    core = folder.start(resume=False)
    assert [entry.name for entry in core.components() if entry.name.startswith("t.")] == []
    assert core.deployments() == []
    assert (folder.root / "work" / "t.A" / "file").read_text() == "kept\n"


def test_what_cannot_resume_is_left_out(folder: Any, nucleus: str) -> None:
    folder.component("t.A")
    folder.component("t.B")
    core = folder.start(nucleus)
    folder.deploy(core, "t.A", "t.B")
    core.stop()
    (folder.root / "packages" / "recipes" / "t.A-1.0.0.yaml").write_text("torn: [")
    core = folder.start(nucleus)
    assert core.wait_state("t.B").state == "RUNNING"
    assert "t.A is left out" in folder.log("core")


def test_two_cores_do_not_share_a_root(folder: Any) -> None:
    core = folder.start()
    with pytest.raises(EdgeloopError, match=r"another process listens already.*core stop") as error:
        daemon.start(folder.root, bus=False)
    assert "\n" not in str(error.value)
    assert core.status()["pid"]


def test_a_port_in_use_is_one_line(folder: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EdgeloopError, match=f"127.0.0.1:{port}.*Address already in use.*another"):
            daemon.start(folder.root, bus=False, token_exchange_port=port)


def test_a_root_that_is_too_long_or_not_to_be_made_is_one_line(folder: Any) -> None:
    with pytest.raises(EdgeloopError, match=r"too long.*107"):
        daemon.start(folder.path / ("d" * 110), bus=False)
    (folder.path / "file").touch()
    with pytest.raises(EdgeloopError, match="cannot make the core's folder.*Not a directory"):
        daemon.start(folder.path / "file" / "root", bus=False)


def test_a_broken_file_of_the_core_is_one_line(folder: Any) -> None:
    core = folder.start()
    core.stop()
    (folder.root / "config" / "deployments.json").write_text("{")
    with pytest.raises(EdgeloopError, match=r"last deployment.*deployments.json.*deploy again"):
        daemon.start(folder.root, bus=False)


def test_users_that_cannot_be_are_one_line(folder: Any) -> None:
    if os.geteuid() != 0:
        with pytest.raises(EdgeloopError, match="only root can change the user"):
            daemon.start(folder.root, bus=False, component_user="root")
        return
    closed = folder.path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EdgeloopError, match=f"cannot enter {closed} .*chmod o\\+x"):
        daemon.start(closed / "root", bus=False)
    with pytest.raises(EdgeloopError, match="components do not run as root"):
        daemon.start(folder.root, bus=False, component_user="root")
    with pytest.raises(EdgeloopError, match="there is no user nobody-at-all"):
        daemon.start(folder.root, bus=False, component_user="nobody-at-all")


def test_groups_end_with_sigkill_where_sigterm_does_not_do(tmp_path: Path) -> None:
    async def main() -> None:
        groups = Groups(tmp_path / "groups.json")
        deaf = "trap '' TERM; echo deaf; while :; do sleep 0.05; done"
        process = await groups.start(["/bin/sh", "-c", deaf], tmp_path, {}, tmp_path / "log", {})
        while "deaf" not in (tmp_path / "log").read_text():
            await asyncio.sleep(0.01)
        await groups.stop(process, 0.1)
        assert process.returncode == -signal.SIGKILL
        groups.close()

    asyncio.run(main())


def test_a_killed_guard_is_replaced_and_knows_the_groups(tmp_path: Path) -> None:
    async def main() -> None:
        groups = Groups(tmp_path / "groups.json")
        first = await groups.start(["/bin/sleep", "1000"], tmp_path, {}, tmp_path / "log", {})
        guard = groups._guard
        assert guard is not None
        guard.kill()
        guard.wait()
        second = await groups.start(["/bin/sleep", "1000"], tmp_path, {}, tmp_path / "log", {})
        assert groups._guard is not guard
        groups.close()
        assert await first.wait() == await second.wait() == -signal.SIGKILL

    asyncio.run(main())


def test_the_next_start_kills_what_even_the_guard_left(tmp_path: Path) -> None:
    async def main() -> None:
        groups = Groups(tmp_path / "groups.json")
        process = await groups.start(["/bin/sleep", "1000"], tmp_path, {}, tmp_path / "log", {})
        assert Groups(tmp_path / "groups.json").clean() == [process.pid]
        assert await process.wait() == -signal.SIGKILL
        assert Groups(tmp_path / "groups.json").clean() == []
        groups.close()

    asyncio.run(main())
