"""Who infers: 1,500 inputs (120 in the short form), then a clean end. Arguments: root, component."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

from edgeloop.models.active import ActiveModel
from edgeloop.models.errors import ModelError


def main() -> None:
    root, component = sys.argv[1:]
    after = int(os.environ.get("EDGELOOP_FAULT_AFTER", "1000"))
    x = np.ones((1, 4), np.float32)
    with ActiveModel("linear", component, Path(root), period=0.2, hung=2.0, on_hung=lambda _: os._exit(1)) as user:
        version = ""
        for _ in range(after + after // 2):
            loaded = user.current
            if loaded is None:
                time.sleep(0.01)
                continue
            version = loaded.manifest.version
            try:
                loaded.runner.run(x)
            except (ModelError, MemoryError):
                user.failed(loaded)
            else:
                user.used(loaded)
    print(f"{version} served", flush=True)


if __name__ == "__main__":
    main()
