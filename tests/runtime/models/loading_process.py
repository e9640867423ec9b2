"""A component that takes a model into use and then waits: `python loading_process.py ROOT NAME COMPONENT [die]`.

With `die` it is killed while the model is loaded.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from edgeloop.models.active import ActiveModel
from edgeloop.models.runners import open_runner


def main(root: str, name: str, component: str, how: str = "") -> None:
    def opener(*arguments: Any) -> Any:
        if how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return open_runner(*arguments)

    active = ActiveModel(name, component, Path(root), opener=opener)
    active.start()
    print(active.report.serving, active.report.origin, active.report.fate, flush=True)
    for line in sys.stdin:
        if line.strip() == "close":
            active.close()
            break


if __name__ == "__main__":
    main(*sys.argv[1:])
