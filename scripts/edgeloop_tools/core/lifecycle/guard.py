"""The program that ends the components' processes when the core died without doing so.

Reads lines `+GROUP` and `-GROUP` on standard input; at its end kills the process groups that are left. Standard library
only: it is run as a file.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys


def main() -> None:
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        sign, number = line[:1], int(line[1:])
        if sign == b"+":
            groups.add(number)
        else:
            groups.discard(number)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
