"""Parts of the supervisor that need no running core."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgeloop_tools.core import nucleus
from edgeloop_tools.core import supervisor as module
from edgeloop_tools.core.environment import Environment
from edgeloop_tools.core.lifecycle import Groups, Plan, Service
from edgeloop_tools.core.lifecycle.service import last_line
from edgeloop_tools.core.recipes import Version
from edgeloop_tools.core.supervisor import Supervisor
from edgeloop_tools.core.tokens import Tokens
from edgeloop_tools.core.user import ComponentUser


def test_logs_stay_below_their_limit_while_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_LIMIT", 1000)

    async def main() -> None:
        user = ComponentUser.find()
        tokens = Tokens()
        environment = Environment(tmp_path, "classic", user, Path("/bin/true"), tokens, tmp_path / "s", "thing", "r")
        supervisor = Supervisor(tmp_path, "classic", user, Groups(tmp_path / "groups.json"), environment)
        supervisor.services["t.A"] = Service(Plan("t.A", Version((1, 0, 0)), {}), supervisor)
        path = supervisor.log_of("t.A")
        with path.open("ab", buffering=0) as log:
            log.write(b"x" * 999)
            supervisor.rotate_logs()
            assert path.stat().st_size == 999
            log.write(b"yy")
            supervisor.rotate_logs()
            log.write(b"z")
        assert path.read_bytes() == b"z"
        assert path.with_suffix(".log.1").read_bytes() == b"x" * 999 + b"yy"

    asyncio.run(main())


@pytest.mark.parametrize(("text", "line"), [
    (b"", ""),
    (b"one\ntwo\n\n", "two"),
    (b'{"message": "three", "level": "error"}\n', "three"),
    (b"{torn", "{torn"),
    (b"\xff" * 5000 + b"\nend", "end"),
    (b"x" * 500, "x" * 300),
])  # fmt: skip
def test_the_last_line_of_a_log(tmp_path: Path, text: bytes, line: str) -> None:
    (tmp_path / "log").write_bytes(text)
    assert last_line(tmp_path / "log") == line


def test_a_core_whose_folder_is_gone_stops(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nucleus, "_HOUSEKEEPING", 0.05)

    async def main() -> None:
        ready = asyncio.Event()
        core = asyncio.create_task(nucleus.Nucleus(nucleus.Settings(folder.root, bus=False)).run(ready))
        await asyncio.wait_for(ready.wait(), 20)
        shutil.rmtree(folder.root)
        await asyncio.wait_for(core, 10)

    asyncio.run(main())


def test_the_python_of_components_can_make_environments() -> None:
    user = ComponentUser.find()
    code = "import ensurepip, sys; print(sys.version_info >= (3, 11), sys.prefix == sys.base_prefix)"
    done = subprocess.run([user.python(), "-I", "-c", code], capture_output=True, text=True, check=True, **user.switch)
    assert done.stdout.split() == ["True", "True"]


def test_tokens() -> None:
    tokens = Tokens()
    first, other, observer = tokens.of("a"), tokens.of("b"), tokens.observer()
    assert tokens.of("a") == first
    assert len({first, other, observer}) == 3
    holder = tokens.holder(first)
    assert holder is not None
    assert (holder.component, holder.unrestricted) == ("a", False)
    tokens.revoke_all()
    assert tokens.holder(first) is None
    assert tokens.of("a") != first
    found = tokens.holder(observer)
    assert found is not None
    assert found.unrestricted
