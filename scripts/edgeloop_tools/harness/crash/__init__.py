"""Crash consistency: what a program did to a folder is recorded, and every folder that a crash may leave of it is made.

As ALICE and CrashMonkey do it: of what was not yet synced, any part may be on the disk. A file's content is safe once
it was synced, its name once its folder was.
"""

from edgeloop_tools.harness.crash.disk import State, states, weakened
from edgeloop_tools.harness.crash.recorder import Kind, Operation, Recorder

__all__ = ["Kind", "Operation", "Recorder", "State", "states", "weakened"]
