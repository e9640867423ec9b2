"""A camera's parts from the first sight to the upload queue as fast as they go: growth_process.py ROOT PARTS.

Prints the process's memory (anonymous, resident, kB) after a quarter of the parts and after all, then how many.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from camera_inference.configuration import Camera
from camera_inference.declaration import NAME
from camera_inference.documents import pack
from camera_inference.frame import Frame
from camera_inference.pipeline import CameraPipeline
from camera_inference.sources import Registry
from edgeloop.queue import UploadQueue
from edgeloop_tools.harness.growth import anonymous


class Around:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] += n

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: True


def main(root: Path, parts: int) -> None:
    around: Any = Around()
    session: Any = SimpleNamespace(add=lambda *_: None, shadow=None)
    place = Registry(print).find("simulator:?seed=1", "here")
    camera = Camera(uri="simulator:?seed=1", asset="gate", policy="every")
    pipeline = CameraPipeline("gate", camera, place, session, root, around)
    queue = UploadQueue(root, NAME, budget=1 << 20)
    for number in range(parts):
        if number == parts // 4:
            print("growth", anonymous(), flush=True)
        frame = Frame("gate", time.time_ns(), time.monotonic_ns(), None, part=f"{number:09d}", reason="no light")
        pipeline._put(frame)
        found = pipeline.collect()
        for message in pack(found, site="s", device="d", component=NAME, time=frame.time):
            queue.append("results", message, sync=False)
        pipeline.announced([result.part for result in found])
        if number % 20 == 0:
            pipeline.tick()
    print("growth", anonymous(), flush=True)
    print("growth", around.counts["unknown.gate"])
    queue.close()
    pipeline.release()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
