"""Models that misbehave, in processes that start with this folder on their path: `fault KIND WHEN` in the card."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import Any


def misbehave(fault: str) -> None:
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "hang":
        time.sleep(3600)
    if "edgeloop.models.trial" not in sys.modules:
        raise MemoryError("as where the kernel refuses more")
    held = []
    while True:
        held.append(bytearray(b"\1") * (64 << 20))


class Faulty:
    def __init__(self, runner: Any, fault: str, after: int) -> None:
        self._runner, self._fault, self._left = runner, fault, after

    def run(self, inputs: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            misbehave(self._fault)
        return self._runner.run(inputs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)


def patch() -> None:
    from edgeloop.models import runners
    from edgeloop.models.runners import choice

    real, usual = choice.open_runner, runners.Options()

    def open_runner(package: Any, variant: Any, options: Any = usual) -> Any:
        words = package.manifest.card.description.split()
        if words[:1] != ["fault"]:
            return real(package, variant, options)
        fault, when = words[1:]
        if when == "load":
            misbehave(fault)
        after = 1 if when == "first" else int(os.environ.get("EDGELOOP_FAULT_AFTER", "1000"))
        return Faulty(real(package, variant, options), fault, 0 if when == "first" else after)

    choice.open_runner = runners.open_runner = open_runner


if "pytest" not in sys.modules:
    with contextlib.suppress(ImportError):
        patch()
