"""Infers once with the model in use, by its default input or (with "hang") by one that it hangs on; ends as a component
does that is told that its model hangs. Prints what serves."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import numpy as np

from edgeloop.models.active import ActiveModel


def main(root: str, name: str, component: str, how: str) -> None:
    over = threading.Event()

    def hung(line: str) -> None:
        print(line, flush=True)
        over.set()

    active = ActiveModel(name, component, Path(root), on_hung=hung, hung=1.0, period=0.2)
    active.start()
    loaded = active.current
    print(loaded.manifest.version if loaded else "nothing", flush=True)
    if loaded is not None:
        x = np.full((1, 4), 2000.0 if how == "hang" else 1.0, np.float32)
        threading.Thread(target=lambda: (loaded.runner.run(x), over.set()), daemon=True).start()
        over.wait(60)
    active.close()
    os._exit(1 if how == "hang" else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
