"""Runs a model update in children that are killed before their n-th change of the file system.

One JSON job per line: root, document (configuration), kill (0: never), fails (whether the model's user reports
failures). Answers with the child's exit code, -9 where it was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy  # noqa: F401
import onnxruntime  # noqa: F401

from edgeloop.config.load import convert
from edgeloop.health import Health
from edgeloop.log import Log
from edgeloop.models import trial
from edgeloop.models.active import ActiveModel
from edgeloop.models.proof import Prover
from model_update.configuration import Configuration
from model_update.declaration import NAME
from model_update.updates import Updates

CHANGES = ("replace", "rename", "fsync", "mkdir", "rmdir", "unlink", "ftruncate")
USER = "io.edgeloop.CameraInference"


def kill_at(number: int) -> None:
    """Replaces the calls that change something by ones that count."""
    count = 0

    def counted(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return call

    for name in CHANGES:
        setattr(os, name, counted(getattr(os, name)))


def update(root: Path, document: dict[str, Any], fails: bool) -> None:
    Prover.prove = lambda self, package, variant, task, timeout: trial.attempt(package.folder, 0, task)  # type: ignore
    work = root / "work" / NAME
    updates = Updates(root, work, lambda *_: True, Health(NAME, lambda _: None), Log("ModelUpdate", "error"))
    updates.apply(convert(document, Configuration))
    updates.advance()
    with ActiveModel("linear", USER, root) as user:
        if user.current is not None:
            (user.failed if fails else user.used)(user.current, 10)
    updates._due.clear()
    updates.advance()


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                if job["kill"]:
                    kill_at(job["kill"])
                update(Path(job["root"]), job["document"], job["fails"])
                code = 0
            finally:
                os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
