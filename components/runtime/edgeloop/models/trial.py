"""The process that loads a model for the first time: `main([folder, variant, options])`. Prints one Outcome."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from edgeloop.decode import document
from edgeloop.errors import EdgeloopError
from edgeloop.models.decoders import make as make_decoder
from edgeloop.models.errors import ModelError, ModelRefused, Reason
from edgeloop.models.golden import Case, worst
from edgeloop.models.package import open_package
from edgeloop.models.runners import Options, Runner, open_runner

_TIMED: Final = 0.4
"""Seconds spent on timing, at most."""
_RUNS: Final = 50
_EXPENDABLE: Final = b"1000"
_NEW_USER: Final = 0x10000000
_NEW_NETWORK: Final = 0x40000000
"""`linux/sched.h`."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """error: "" where the model gave what the golden set says. reason: of the error. final: whether another try gives
    the same. load, latency (median of a run): seconds. memory: bytes at most. worst: the largest difference as a
    multiple of what is allowed. agreement: the part of cases within it. crashed: whether the process died. network:
    whether it could reach one, because the kernel gives an unprivileged process no namespace of its own."""

    error: str = ""
    reason: Reason | None = None
    final: bool = False
    load: float = 0.0
    latency: float = 0.0
    memory: int = 0
    worst: float = 0.0
    agreement: float = 0.0
    crashed: bool = False
    network: bool = True


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """memory: bytes of data that the process may have. life: seconds after which it ends itself, should the process
    that waits for it be gone."""

    options: Options = Options()
    memory: int = 2 << 30
    life: int = 600


DEFAULT: Final = Task()


def attempt(folder: Path, index: int, task: Task) -> Outcome:
    package = open_package(folder)
    cases = package.cases()
    began = time.perf_counter()
    variant = package.manifest.variants[index]
    allowed = package.manifest.tolerance(variant)
    runner = open_runner(package, variant, task.options)
    load = time.perf_counter() - began
    try:
        found = [runner.run(case.inputs) for case in cases]
        ratios = [worst(case, outputs, allowed) for case, outputs in zip(cases, found, strict=True)]
        read = make_decoder(package.manifest, package.folder)
        if read is not None:
            for outputs in found:
                read(outputs)
        latency = _latency(runner, cases)
    except ModelRefused:
        raise
    except ModelError as error:
        raise ModelRefused("it fails on its golden set", Reason.GOLDEN, why=str(error)) from error
    finally:
        runner.close()
    agreement = sum(ratio <= 1 for ratio in ratios) / len(ratios)
    memory = 1024 * sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    largest = min(max(ratios), 1e300)
    outcome = Outcome(load=load, latency=latency, memory=memory, worst=largest, agreement=agreement)
    if agreement < allowed.agreement:
        reason = (
            f"{sum(ratio > 1 for ratio in ratios)} of {len(ratios)} golden cases come out wrong, "
            f"by up to {largest:.3g} times what is allowed"
        )
        return msgspec.structs.replace(outcome, error=reason, reason=Reason.GOLDEN, final=True)
    return outcome


def _latency(runner: Runner, cases: Sequence[Case]) -> float:
    times: list[float] = []
    deadline = time.perf_counter() + _TIMED
    while len(times) < _RUNS and (not times or time.perf_counter() < deadline):
        began = time.perf_counter()
        runner.run(cases[len(times) % len(cases)].inputs)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _alone() -> bool:
    """Leaves the machine's network for an empty one, where the kernel lets an unprivileged process have a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.unshare(_NEW_USER | _NEW_NETWORK)) == 0


def main(argv: Sequence[str]) -> int:
    report = os.dup(1)
    os.dup2(2, 1)
    folder, index, text = argv
    task = document(text.encode(), Task)
    signal.alarm(task.life)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (task.memory, task.memory))
    Path("/proc/self/oom_score_adj").write_bytes(_EXPENDABLE)
    network = not _alone()
    try:
        outcome = attempt(Path(folder), int(index), task)
    except EdgeloopError as error:
        reason = error.reason if isinstance(error, ModelRefused) else None
        outcome = Outcome(error=str(error), reason=reason, final=reason is not None)
    except MemoryError:
        outcome = Outcome(
            error=f"it takes more than {task.memory >> 20} MiB of memory", reason=Reason.MEMORY, final=True
        )
    os.write(report, msgspec.json.encode(msgspec.structs.replace(outcome, network=network)))
    sys.stdout.flush()
    return 0
