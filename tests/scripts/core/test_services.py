"""Credentials, the bus process, faults."""

from __future__ import annotations

import errno
import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from edgeloop_tools.core.control import ControlError
from edgeloop_tools.core.token_exchange import credentials


def test_credentials_come_from_the_environment_the_shared_file_or_are_plainly_none(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    nothing = {"AWS_SHARED_CREDENTIALS_FILE": str(file)}
    assert credentials(nothing)["AccessKeyId"] == "LOCALCOREHASNOKEY"
    file.write_text("[other]\naws_access_key_id = K\naws_secret_access_key = S%x\n")
    found = credentials({**nothing, "AWS_PROFILE": "other"})
    assert (found["AccessKeyId"], found["SecretAccessKey"], found["Token"]) == ("K", "S%x", "")
    environment = {"AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "T", "AWS_SESSION_TOKEN": "U", **nothing}
    assert credentials(environment)["AccessKeyId"] == "E"
    assert credentials(environment)["Token"] == "U"
    file.write_bytes(b"\xff[[")
    assert credentials(nothing)["AccessKeyId"] == "LOCALCOREHASNOKEY"


def fetch(uri: str, token: str | None) -> dict[str, Any]:
    request = urllib.request.Request(uri, headers={"Authorization": token} if token else {})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        document: dict[str, Any] = json.load(answer)
        return document


def test_the_credentials_endpoint_wants_a_token(folder: Any) -> None:
    script = 'echo "token=$AWS_CONTAINER_AUTHORIZATION_TOKEN"; exec sleep 100'
    folder.component("t.A", script, soft=("aws.greengrass.TokenExchangeService",))
    core = folder.start(bus=True)
    folder.deploy(core, "t.A")
    token = folder.said("t.A", "token=").partition("token=")[2].split()[0]
    uri = core.status()["credentials"]
    assert fetch(uri, token).keys() == {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
    for wrong, address, code in ((None, uri, 403), ("x", uri, 403), (token, uri + "x", 400)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(address, wrong)
        assert refused.value.code == code
    core.fault("network", offline=True)
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(uri, token)
    assert refused.value.code == 500
    core.fault("network", offline=False)
    assert fetch(uri, token)


WRITER = b"""
import os, sys, time
number = 0
while True:
    try:
        with open("data", "ab") as file:
            file.write(bytes(4096))
        print("wrote", number, flush=True)
    except OSError as error:
        print("refused", error.errno, flush=True)
    number += 1
    time.sleep(0.05)
"""


def test_a_full_disk_and_room_again(folder: Any) -> None:
    folder.component("t.A", "exec python3 {artifacts:path}/writer.py", artifacts={"writer.py": WRITER})
    folder.component("t.B", "while :; do date > file; sleep 0.05; done")
    core = folder.start()
    folder.deploy(core, "t.A", "t.B")
    folder.said("t.A", "wrote 3")
    means = core.fault("full_disk", component="t.A", bytes=1 << 20)["means"]
    number = errno.ENOSPC if means == "file system" else errno.EFBIG
    folder.said("t.A", f"refused {number}", timeout=20)
    core.fault("disk_room", component="t.A")
    before = folder.log("t.A").count("wrote")
    folder.said("t.A", "wrote", times=before + 3)
    size = (folder.root / "work" / "t.A" / "data").stat().st_size
    core.fault("disk_back", component="t.A")
    core.wait_state("t.A")
    assert (folder.root / "work" / "t.A" / "data").stat().st_size >= size
    assert str(folder.root) not in Path("/proc/self/mounts").read_text()
    assert core.component("t.B").restarts == 0


def test_a_core_that_ends_with_a_full_disk_leaves_no_mount(folder: Any) -> None:
    folder.component("t.A", "echo kept > file; exec sleep 100")
    core = folder.start()
    folder.deploy(core, "t.A")
    core.fault("full_disk", component="t.A")
    core.stop()
    assert str(folder.root) not in Path("/proc/self/mounts").read_text()
    assert (folder.root / "work" / "t.A" / "file").read_text() == "kept\n"
    assert sorted(path.name for path in (folder.root / "work").iterdir()) == ["t.A"]


def test_a_disk_that_is_too_small_for_what_is_there_changes_nothing(folder: Any) -> None:
    folder.component("t.A", "head -c 300000 /dev/zero > file; echo begun; exec sleep 100")
    core = folder.start()
    folder.deploy(core, "t.A")
    folder.said("t.A", "begun")
    if os.geteuid() == 0:
        with pytest.raises(ControlError, match="cannot make the small file system.*give more bytes"):
            core.fault("full_disk", component="t.A", bytes=100_000)
    assert core.wait_state("t.A")
    assert str(folder.root) not in Path("/proc/self/mounts").read_text()


def test_faults_that_do_not_exist_are_one_line(folder: Any) -> None:
    core = folder.start(bus=True)
    with pytest.raises(ControlError, match="unknown fault.*flood"):
        core.fault("flood")
    with pytest.raises(ControlError, match="no component t.B"):
        core.fault("kill", component="t.B")


def test_the_bus_comes_back_at_once_and_components_go_on(folder: Any, nucleus: str) -> None:
    folder.component("t.A", "echo $SVCUID; exec sleep 100")
    core = folder.start(nucleus, bus=True)
    folder.deploy(core, "t.A")
    pid, bus = core.component("t.A").pid, core.status()["bus_pid"]
    core.fault("kill_bus")
    end = time.monotonic() + 60
    while core.status()["bus_pid"] in (None, bus):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert core.component("t.A").pid == pid
    assert core.status()["bus_restarts"] == 1
    core.restart("t.A")
    tokens = folder.said("t.A", "\n", times=2).split()
    assert (tokens[0] == tokens[1]) == (nucleus == "classic"), "on lite old tokens are dead"


def test_nothing_of_it_listens_beyond_this_machine(folder: Any) -> None:
    core = folder.start(bus=True)
    assert core.status()["credentials"].startswith("http://localhost:")
    assert (folder.root / "control.sock").stat().st_mode & 0o777 == 0o600
    assert (folder.root / "config").stat().st_mode & 0o777 == 0o700
    assert os.stat(core.observer()[0]).st_mode & 0o777 == 0o666


def test_logs_are_their_owners_alone(folder: Any) -> None:
    folder.component("t.A", "echo there; exec sleep 100")
    logs = folder.root / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / "t.A.log").touch(0o644)
    core = folder.start(bus=True)
    folder.deploy(core, "t.A")
    folder.said("t.A", "there")
    modes = {path.name: path.stat().st_mode & 0o777 for path in logs.glob("*.log")}
    assert {"t.A.log", "core.log", "bus.log"} <= modes.keys()
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("state", ["broken", "absent"])
def test_a_nucleus_without_token_exchange(folder: Any, state: str) -> None:
    """Without a role alias who depends SOFT on it runs, who depends HARD never does; without its recipe neither may."""
    name = "aws.greengrass.TokenExchangeService"
    folder.component("t.Soft", "echo \"uri=$AWS_CONTAINER_CREDENTIALS_FULL_URI\"; exec sleep 100", soft=(name,))
    folder.component("t.Hard", hard=(name,))
    core = folder.start(token_exchange=state)
    folders = {"recipe_dir": folder.recipes}
    if state == "absent":
        for part in ("t.Soft", "t.Hard"):
            with pytest.raises(ControlError, match=name):
                core.deploy({part: "1.0.0"}, **folders)
        return
    with pytest.raises(ControlError, match="role alias"):
        core.wait(core.deploy({"t.Soft": "1.0.0", "t.Hard": "1.0.0"}, failure="DO_NOTHING", **folders), 60)
    assert folder.said("t.Soft", "uri=").strip() == "uri="
    assert core.component(name).state == "BROKEN"
    assert core.component("t.Hard").state == "INSTALLED"


def test_a_deployment_waits_for_the_poll(folder: Any) -> None:
    folder.component("t.A")
    core = folder.start(poll=1.5)
    folders = {"recipe_dir": folder.recipes}
    began = time.monotonic()
    core.wait(core.deploy({"t.A": "1.0.0"}, **folders), 60)
    assert time.monotonic() // 1.5 > began // 1.5, "the next look was awaited"
