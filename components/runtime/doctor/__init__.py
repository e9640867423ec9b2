"""Preflight of a device: what keeps Edgeloop from running here, each finding with its mend.

Standard library only, so that it runs before anything is installed: `python3 runtime.pyz doctor`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from doctor import access, components, machine, nucleus
from doctor.device import Device
from doctor.finding import Finding

CHECKS: tuple[Callable[[Device], Iterator[Finding]], ...] = (
    machine.python, machine.architecture, machine.load, machine.memory, machine.disk, machine.clock,
    access.user, access.nodes, nucleus.nucleus, nucleus.runtime, nucleus.cloud, nucleus.logs, components.bus,
    components.states, components.credentials,
)  # fmt: skip


def examine(device: Device) -> list[Finding]:
    """Every check's findings. A check that fails is a finding of its own."""
    findings: list[Finding] = []
    for check in CHECKS:
        try:
            findings += check(device)
        except (OSError, ValueError) as error:
            findings.append(Finding("warning", check.__name__, "could not be looked at", str(error)))
    return findings


def report(findings: list[Finding], *, as_json: bool = False) -> str:
    """Lines, worst last where the eye is; or one JSON document."""
    if as_json:
        return json.dumps([f.document() for f in findings], indent=1)
    order = {"ok": 0, "note": 1, "warning": 2, "problem": 3}
    lines = [str(f) for f in sorted(findings, key=lambda f: order[f.level])]
    counts = {level: sum(f.level == level for f in findings) for level in ("problem", "warning")}
    return "\n".join([*lines, f"{counts['problem']} problems, {counts['warning']} warnings"])


def failed(findings: list[Finding]) -> bool:
    return any(f.level == "problem" for f in findings)
