"""What the doctor says of the components, and whether credentials come, from nuclei that small programs stand for."""

from __future__ import annotations

import http.server
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from doctor import components
from doctor.device import Device

INGEST, UPDATE = "io.edgeloop.SensorIngest", "io.edgeloop.ModelUpdate"
OURS = {INGEST: "BROKEN", UPDATE: "INSTALLED", "io.edgeloop.Runtime": "RUNNING"}
SECRET = "a-token-of-a-component"


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def classic(tmp_path: Path) -> Path:
    root = tmp_path / "greengrass"
    (root / "alts").mkdir(parents=True)
    (root / "packages" / "artifacts" / UPDATE).mkdir(parents=True)
    return root


def test_a_broken_component_is_a_problem_with_what_revives_it(classic: Path) -> None:
    lines = "".join(
        f"Component Name: {name}\n    Version: 0.1.0\n    State: {state}\n    Configuration: {{}}\n"
        for name, state in {**OURS, "a.B": "BROKEN"}.items()
    )
    program(classic / "bin" / "greengrass-cli", f"cat <<'E'\n{lines}E")
    found = {f.what: f for f in components.states(Device(root=classic))}
    assert {name: f.level for name, f in found.items()} == {
        INGEST: "problem", UPDATE: "warning", "io.edgeloop.Runtime": "ok",
    }  # fmt: skip
    assert "any deployment revives it" in found[INGEST].mend
    program(classic / "bin" / "greengrass-cli", "echo no permission >&2; exit 1")
    (finding,) = components.states(Device(root=classic))
    assert (finding.level, finding.mend) == ("note", "run with sudo")
    assert "no permission" in finding.why


def test_a_unit_that_failed_on_lite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "lite"
    root.mkdir()
    (root / "config.db").touch()
    unit = f"ggl.{INGEST}.service"
    program(
        tmp_path / "bin" / "systemctl",
        f'[ $1 = list-units ] && {{ echo "{unit} loaded"; echo "ggl.core.ggipcd.service loaded"; exit; }}\n'
        f'echo "Id={unit}\nActiveState=failed\nSubState=failed\nResult=start-limit-hit"',
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (finding,) = components.states(Device(root=root))
    assert (finding.level, finding.what, finding.seen) == ("problem", INGEST, "BROKEN (start-limit-hit)")
    assert f"systemctl start {unit}" in finding.mend


class Exchange(http.server.BaseHTTPRequestHandler):
    answer = (200, {"AccessKeyId": "A", "SecretAccessKey": "a secret"})

    def do_GET(self) -> None:
        code, document = self.answer if self.headers["Authorization"] == SECRET else (403, {"message": "who?"})
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("localhost", 0), Exchange)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def running(classic: Path) -> Iterator[None]:
    """A process that looks like one of ours."""
    path = f"{classic}/packages/artifacts/{INGEST}/0.1.0/x"
    environment = {**os.environ, "SVCUID": SECRET}
    code = "import sys, time; print(flush=True); time.sleep(1000)"
    with subprocess.Popen([sys.executable, "-c", code, path], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.kill()


def active(root: Path, port: int) -> None:
    """As the classic nucleus writes down its configuration: a line for each change."""
    (root / "config").mkdir(exist_ok=True)
    path = ["services", components.TOKEN_EXCHANGE, "configuration", "activePort"]
    entry = {"TS": 0, "TP": path, "W": "changed", "V": port}
    with (root / "config" / "config.tlog").open("a") as log:
        log.write(json.dumps(entry, separators=(",", ":")) + "\n")


@pytest.mark.usefixtures("running")
def test_credentials_come_or_not_and_none_is_shown(classic: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def finding() -> str:
        (found,) = components.credentials(Device(root=classic))
        assert "secret" not in str(found)
        assert SECRET not in str(found)
        return str(found)

    assert "token exchange does not run" in finding()
    active(classic, port)
    assert finding() == "ok       credentials: they come"
    monkeypatch.setattr(Exchange, "answer", (500, {"message": "no such role alias"}))
    assert finding().startswith('warning  credentials: they do not come (HTTP 500); {"message": "no such role alias"};')
    active(classic, 1)
    assert "does not answer on port 1" in finding()


def test_the_port_of_lite(tmp_path: Path) -> None:
    base = sqlite3.connect(tmp_path / "config.db")
    base.executescript(
        "CREATE TABLE keyTable (keyid INTEGER PRIMARY KEY, keyvalue TEXT);"
        "CREATE TABLE relationTable (keyid INT, parentid INT); CREATE TABLE valueTable (keyid INT, value TEXT);"
    )
    for key, name in enumerate(("services", components.TOKEN_EXCHANGE, "configuration", "port"), 1):
        base.execute("INSERT INTO keyTable VALUES (?, ?)", (key, name))
        if key > 1:
            base.execute("INSERT INTO relationTable VALUES (?, ?)", (key, key - 1))
    assert components._port("lite", tmp_path) == 0
    base.execute("INSERT INTO valueTable VALUES (4, '\"40123\"')")
    base.commit()
    base.close()
    assert components._port("lite", tmp_path) == 40123


@pytest.mark.parametrize(("answers", "level"), [(True, "ok"), (False, "problem")])
def test_a_bus_that_hangs(short_folder: Path, answers: bool, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "BUS", 0.5)
    (short_folder / "config.db").touch()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short_folder / "gg-ipc.socket"))
        server.listen()

        def refuse() -> None:
            connection, _ = server.accept()
            connection.close()

        if answers:
            threading.Thread(target=refuse, daemon=True).start()
        (finding,) = components.bus(Device(root=short_folder))
    assert (finding.level, finding.what) == (level, "bus")
    assert ("systemctl restart ggl.core.ggipcd" in finding.mend) == (not answers)
