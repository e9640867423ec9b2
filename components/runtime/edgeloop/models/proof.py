"""First load and golden set of a model, in a process that may crash."""

from __future__ import annotations

import math
import subprocess
import tempfile
import threading
from typing import Final

import msgspec

from edgeloop.decode import OWN, document
from edgeloop.models import child, trial
from edgeloop.models.errors import Reason
from edgeloop.models.manifest import Variant
from edgeloop.models.package import Package
from edgeloop.models.trial import DEFAULT, Outcome, Task

TIMEOUT: Final = 60.0
_OUT_OF_MEMORY: Final = -9


class Prover:
    """One trial at a time; `cancel` from another thread ends it, and all later ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = False

    def prove(self, package: Package, variant: Variant, task: Task = DEFAULT, timeout: float = TIMEOUT) -> Outcome:
        """What became of the model. `timeout` in seconds."""
        index = package.manifest.variants.index(variant)
        task = msgspec.structs.replace(task, life=math.ceil(timeout) + 1)
        arguments = (str(package.folder), str(index), msgspec.json.encode(task).decode())
        with tempfile.TemporaryFile() as log:
            with self._lock:
                if self._cancelled:
                    return Outcome(error="the trial was cancelled")
                process = child.start(trial.__name__, *arguments, stdout=subprocess.PIPE, stderr=log)
                self._process = process
            try:
                output, _ = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                why = f"loading and trying it took more than {timeout:g} s"
                return Outcome(error=why, reason=Reason.HANGS, final=True)
            finally:
                with self._lock:
                    self._process = None
                    child.kill(process)
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()
            if process.returncode == 0 and output:
                return document(output, Outcome, what="the outcome of a trial", bounds=OWN)
            said = child.last_line(log)
            why = f"it crashed the process that tried it, {child.ending(process.returncode)}"
            final = process.returncode != _OUT_OF_MEMORY and not self._cancelled
            line = f"{why}: {said}" if said else why
            return Outcome(error=line, reason=Reason.CRASHES, final=final, crashed=True)

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            if self._process is not None:
                child.kill(self._process)
