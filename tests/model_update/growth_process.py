"""ModelUpdate's own rounds as fast as they go: growth_process.py ROOT ROUNDS.

ROOT holds linear.tar. One model is committed and looked at again, one has no file to be fetched from, and now and then
the configuration changes. Prints the process's memory (anonymous, resident, kB) after a quarter of the rounds and
after all, and how often the second was tried.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from edgeloop.config.load import convert
from edgeloop.health import Health
from edgeloop.log import Log
from edgeloop.models import trial
from edgeloop.models.proof import Prover
from edgeloop_tools.harness.growth import anonymous
from model_update.configuration import Configuration
from model_update.declaration import NAME
from model_update.updates import Updates

CHANGE = 100
FAILING = 10
"""Rounds from one change, or one attempt that fails, to the next."""


def main(folder: str, rounds: int) -> None:
    root = Path(folder)
    work = root / "work" / NAME
    work.mkdir(parents=True)
    Prover.prove = lambda self, package, variant, task, timeout: trial.attempt(package.folder, 0, task)  # type: ignore
    os.fsync = os.fdatasync = lambda descriptor: None
    health = Health(NAME, lambda document: None)
    package = root / "linear.tar"
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    with Updates(root, work, lambda *message: True, health, Log("ModelUpdate", "error")) as updates:
        for number in range(rounds):
            if number == rounds // 4:
                print("growth", anonymous(), flush=True)
            if number % CHANGE == 0:
                models = {
                    "linear": {"uri": package.as_uri(), "digest": digest},
                    "absent": {"uri": f"file:{root}/absent-{number}.tar", "digest": digest},
                }
                updates.apply(convert({"models": models}, Configuration))
            updates._due.clear()
            if number % FAILING:
                updates._due["absent"] = float("inf")
            updates.advance()
    print("growth", anonymous(), flush=True)
    print("growth", health.document()["counters"]["retries.absent"])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
