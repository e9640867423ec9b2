"""The training script and the entry of a container: hyperparameters as arguments."""

from __future__ import annotations

import sys

from edgeloop_tools.train.commands import script

if __name__ == "__main__":
    sys.exit(script(sys.argv[1:]))
