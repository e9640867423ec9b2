"""Tokens that die with the bus of nucleus lite, and are given anew to a component's own processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeloop.bus import token

ASK = """
import os, sys
path = Path(os.environ["AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"])
print("mine", bool(renew(path, sys.argv[1], 20)), flush=True)
"""


def test_a_component_is_given_its_token_by_its_process_alone(folder: Any, nucleus: str) -> None:
    script = Path(token.__file__).read_text() + ASK
    for name, asks in (("t.A", "t.A"), ("t.B", "t.A")):
        run = f"python3 {{artifacts:path}}/renew.py {asks}; exec sleep 100"
        folder.component(name, run, artifacts={"renew.py": script.encode()})
    core = folder.start(nucleus, bus=True)
    folder.deploy(core, "t.A", "t.B")
    assert ("mine True" in folder.said("t.A", "mine")) is (nucleus == "lite")
    assert "mine False" in folder.said("t.B", "mine")
