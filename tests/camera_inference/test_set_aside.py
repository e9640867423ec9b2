"""A picture that the process dies of, whatever is done against it, holds up its camera for two starts and no longer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

RUN = """
import os, signal, sys, threading
from pathlib import Path
from camera_inference.sources import folder

work, pictures = Path(sys.argv[1]), sys.argv[2]
reduced = folder.reduced

def deadly(data, where, enough, **options):
    if where.endswith("b.png"):
        os.kill(os.getpid(), signal.SIGKILL)
    return reduced(data, where, enough, **options)

class Outlet:
    id, policy, state, stop, credentials_file, last_part = "gate", "every", work / "cameras" / "gate.json", threading.Event(), "", ""
    def enough(self, width, height):
        return False
    def put(self, image, colour, *, time=0, part="", jpeg=b"", scale=1):
        print("put", part, flush=True)
        return part != "c.png"
    def missed(self, part, time, reason):
        print("missed", part, reason, flush=True)
    def room(self):
        return True
    def wait(self, seconds):
        return False
    def problem(self, line, part=""):
        print("problem", part, line, flush=True)
    def clear(self, part=""): pass
    def count(self, name, n=1):
        print("count", name, n, flush=True)
    def log(self, line, **fields): pass

folder.reduced = deadly
source = folder.Folder(pictures, folder.FolderOptions(), Outlet())
source.setup()
source.run()
source.close()
"""  # noqa: E501


def run(work: Path, pictures: Path) -> tuple[int, list[str]]:
    command = [sys.executable, "-c", RUN, str(work), str(pictures)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_a_picture_that_ends_the_process_is_set_aside_at_the_third_start_and_the_next_ones_are_judged(
    tmp_path: Path,
) -> None:
    pictures = tmp_path / "pictures"
    for folder in (pictures, tmp_path / "cameras"):
        folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        cv2.imwrite(str(pictures / name), np.full((8, 8, 3), 90, np.uint8))
    assert run(tmp_path, pictures) == (-signal.SIGKILL, ["put a.png"])
    assert run(tmp_path, pictures)[0] == -signal.SIGKILL
    code, said = run(tmp_path, pictures)
    assert code == 0
    assert said[0] == "count set_aside 1"
    assert said[1].startswith("problem set-aside an image was in hand 2 times in a row when the process died")
    assert any(line.startswith("missed b.png the image is set aside") for line in said)
    assert said[-1] == "put c.png"
    (about,) = (tmp_path / "set-aside").glob("*.json")
    assert json.loads(about.read_text())["from"] == str(pictures / "b.png")
    assert about.with_suffix(".input").read_bytes() == (pictures / "b.png").read_bytes()
