"""The components on the device: what the nucleus says of each, and whether AWS credentials come."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import ipc
from doctor.device import Device
from doctor.finding import Finding

OURS = "io.edgeloop."
TOKEN_EXCHANGE = "aws.greengrass.TokenExchangeService"
PATH = "/2016-11-01/credentialprovider/"
WAIT = 60.0
BUS = 8.0
"""s until a bus that does not answer counts as hung: one hung subscriber holds up nucleus lite for 5."""
UNIT = "Id,ActiveState,SubState,Result,NRestarts,ExecMainStartTimestampMonotonic"
REVIVES = {
    "classic": "any deployment revives it, or a restart of the nucleus; `greengrass-cli component restart` does not",
    "lite": "deploy it again, or: systemctl reset-failed ggl.{name}.service && systemctl start ggl.{name}.service",
}
_FIELD = re.compile(r"^\s*(Component Name|Version|State|Configuration): ?(.*)$")


def states(device: Device) -> Iterator[Finding]:
    """A component that is not well is a problem, with what revives it."""
    if device.nucleus is None or device.nucleus[0] not in REVIVES:
        return
    flavour, root = device.nucleus
    try:
        found = classic(root) if flavour == "classic" else lite()
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("note", "components", "their states cannot be asked for", str(error), "run with sudo")
        return
    ours = {name: state for name, state in found.items() if name.startswith(OURS)}
    if not ours:
        yield Finding("note", "components", "none of Edgeloop is deployed")
    for name, (state, why) in sorted(ours.items()):
        log = f"{root}/logs/{name}.log" if flavour == "classic" else f"journalctl -t {name}"
        if state in ("RUNNING", "FINISHED"):
            yield Finding("ok", name, state)
        elif state in ("BROKEN", "ERRORED"):
            mend = REVIVES[flavour].replace("{name}", name)
            yield Finding("problem", name, f"{state}{f' ({why})' if why else ''}", f"look at {log}", mend)
        else:
            yield Finding("warning", name, f"{state}{f' ({why})' if why else ''}", f"it waits; look at {log}")


def bus(device: Device) -> Iterator[Finding]:
    """Whether the nucleus's bus answers whoever knocks, by a refusal at least."""
    if device.nucleus is None or device.nucleus[0] not in REVIVES:
        return
    flavour, root = device.nucleus
    path = root / {"classic": "ipc.socket", "lite": "gg-ipc.socket"}[flavour]
    if not path.is_socket():
        return
    headers: dict[str, int | str] = {":message-type": ipc.CONNECT, ":message-flags": 0, ":stream-id": 0}
    headers[":version"] = "0.1.0"
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(BUS)
            link.connect(str(path))
            link.sendall(ipc._frame(headers, {"authToken": "doctor"}))
            link.recv(1)
    except TimeoutError:
        unit = "the nucleus" if flavour == "classic" else "it: systemctl restart ggl.core.ggipcd"
        why = "components go on by themselves, without actions, alarms to others or new configuration"
        yield Finding("problem", "bus", f"{path} gives no answer in {BUS:g} s", why, f"restart {unit}")
        return
    except OSError as error:
        if not isinstance(error, ConnectionError):
            yield Finding("note", "bus", f"{path} cannot be asked", error.strerror or str(error), "run with sudo")
            return
    yield Finding("ok", "bus", f"{path.name} answers")


def classic(root: Path) -> dict[str, tuple[str, str]]:
    """Component → (state, why), from its own program. Raises OSError, SubprocessError."""
    own = root / "bin" / "greengrass-cli"
    program = str(own) if own.exists() else shutil.which("greengrass-cli") or str(own)
    done = subprocess.run([program, "component", "list"], capture_output=True, text=True, check=False, timeout=WAIT)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise OSError(f"{program}: {lines[-1] if lines else done.returncode}")
    return {entry["Component Name"]: (entry.get("State", ""), "") for entry in parse(done.stdout.splitlines())}


def parse(lines: Sequence[str]) -> list[dict[str, str]]:
    """What `greengrass-cli component list` prints.

    >>> parse(["Component Name: a.B", "    Version: 1.0.0", "    State: RUNNING"])
    [{'Component Name': 'a.B', 'Version': '1.0.0', 'State': 'RUNNING'}]
    """
    found: list[dict[str, str]] = []
    for line in lines:
        match = _FIELD.match(line)
        if match is not None and match[1] == "Component Name":
            found.append({})
        if match is not None and found:
            found[-1][match[1]] = match[2].strip()
    return found


def lite() -> dict[str, tuple[str, str]]:
    """Component → (state, why), from systemd's units. Raises OSError, SubprocessError."""
    words = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "ggl.*.service"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True, timeout=WAIT).stdout
    names = [line.split()[0] for line in listed.splitlines() if line.strip()]
    names = [name for name in names if not name.startswith("ggl.core.")]
    if not names:
        return {}
    words = ["systemctl", "show", "-p", UNIT, *names]
    shown = subprocess.run(words, capture_output=True, text=True, check=True, timeout=WAIT).stdout
    found = {}
    for block in shown.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if values.get("Id"):
            found[values["Id"].removeprefix("ggl.").removesuffix(".service")] = state_of(values)
    return {name: state for name, state in found.items() if not name.endswith(".install") or state[0] == "BROKEN"}


def state_of(unit: Mapping[str, str]) -> tuple[str, str]:
    """A unit's state in a nucleus's words, and why.

    >>> state_of({"ActiveState": "failed", "SubState": "failed", "Result": "start-limit-hit"})
    ('BROKEN', 'start-limit-hit')
    """
    active, sub, result = (unit.get(key, "") for key in ("ActiveState", "SubState", "Result"))
    if sub == "running":
        return "RUNNING", ""
    if active == "failed":
        return "BROKEN", result
    if active == "activating":
        return "STARTING" if sub == "start" else "ERRORED", result if result != "success" else sub
    if unit.get("ExecMainStartTimestampMonotonic", "0") == "0":
        return "INSTALLED", "never started"
    return ("FINISHED", "") if result == "success" else ("ERRORED", result)


def credentials(device: Device) -> Iterator[Finding]:
    """Whether token exchange gives some: asked as a component asks, shown to nobody."""
    if device.nucleus is None or device.nucleus[0] not in REVIVES:
        return
    flavour, root = device.nucleus
    artifacts = root / "packages" / "artifacts"
    if not any((artifacts / f"{OURS}{name}").is_dir() for name in ("StreamUpload", "ModelUpdate")):
        return
    port, token = _port(flavour, root), _token(device, root)
    if not port:
        mend = f"add {TOKEN_EXCHANGE} to the deployment and set iotRoleAlias"
        yield Finding("warning", "credentials", "token exchange does not run", "no upload, no models from S3", mend)
    elif not token:
        why = "no component of Edgeloop runs, or none that this user may look at"
        yield Finding("note", "credentials", "cannot be asked for", why, "run with sudo")
    else:
        yield _asked(port, token)


def _asked(port: int, token: str) -> Finding:
    link = http.client.HTTPConnection("localhost", port, timeout=20)
    try:
        link.request("GET", PATH, headers={"Authorization": token})
        answer = link.getresponse()
        said = answer.read(65_536).decode(errors="replace")
    except OSError as error:
        return Finding("warning", "credentials", f"token exchange does not answer on port {port}", str(error))
    finally:
        link.close()
    if answer.status == 200 and "AccessKeyId" in said:
        return Finding("ok", "credentials", "they come")
    why = "" if "Secret" in said else " ".join(said.split())[:160]
    mend = "look at the role alias, its policy, and whether iotCredEndpoint can be reached"
    return Finding("warning", "credentials", f"they do not come (HTTP {answer.status})", why, mend)


def _port(flavour: str, root: Path) -> int:
    """0 where token exchange has none."""
    if flavour == "lite":
        text = _stored(root / "config.db", ("services", TOKEN_EXCHANGE, "configuration", "port"))
    else:
        try:
            said = (root / "config" / "config.tlog").read_text(errors="replace")
        except OSError:
            said = ""
        found = re.findall(rf'"{re.escape(TOKEN_EXCHANGE)}","configuration","activePort"\],[^\n]*"V":"?(\d+)', said)
        text = found[-1] if found else ""
    return int(text) if text.isdecimal() and 0 < int(text) < 65_536 else 0


def _stored(path: Path, keys: Sequence[str]) -> str:
    """A number or a plain text of nucleus lite's configuration, which keeps JSON; "" where there is none."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as base:
            top = "SELECT keyid FROM keyTable WHERE keyvalue=? AND keyid NOT IN (SELECT keyid FROM relationTable)"
            parents = [key for (key,) in base.execute(top, (keys[0],))]
            for name in keys[1:]:
                parents = [key for parent in parents for (key,) in base.execute(
                    "SELECT k.keyid FROM keyTable k JOIN relationTable r ON r.keyid=k.keyid "
                    "WHERE k.keyvalue=? AND r.parentid=?", (name, parent),
                )]  # fmt: skip
            values = [value for key in parents for (value,) in
                      base.execute("SELECT value FROM valueTable WHERE keyid=?", (key,))]  # fmt: skip
    except sqlite3.Error:
        return ""
    return str(values[0]).strip('"') if values else ""


def _token(device: Device, root: Path) -> str:
    """Of a component of ours that runs here, as the nucleus gave it; "" where none may be looked at."""
    for entry in device.path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            if f"/artifacts/{OURS}".encode() not in command or str(root).encode() not in command:
                continue
            words = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        values = dict(word.split(b"=", 1) for word in words if b"=" in word)
        if token := values.get(b"SVCUID", b""):
            return token.decode(errors="replace")
    return ""
