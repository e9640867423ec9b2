"""Run in a network namespace of its own: who is looked up, and which files appear, while a program runs.

    silence.py SECONDS FOLDER PROGRAM

The only name server is this process. HOME and TMPDIR of the program are folders below FOLDER. It goes on for SECONDS
after its last line. Prints {"names": […], "files": […], "code": …}.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

_SIOCSIFFLAGS, _UP = 0x8914, 0x1


def bring_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_:
        fcntl.ioctl(any_, _SIOCSIFFLAGS, struct.pack("16sh14s", b"lo", _UP, b""))


def answer(server: socket.socket, names: set[str]) -> None:
    """Writes every name down, and says that there is none of that name."""
    while True:
        query, client = server.recvfrom(4096)
        labels, at = [], 12
        while at < len(query) and query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode(errors="replace"))
            at += 1 + query[at]
        names.add(".".join(labels))
        server.sendto(query[:2] + b"\x81\x83" + query[4:6] + bytes(6) + query[12 : at + 5], client)


def main() -> int:
    seconds, folder, program = float(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    home, temporary, work = folder / "home", folder / "tmp", folder / "work"
    for each in (home, temporary, work):
        each.mkdir(parents=True)
    bring_up()
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", resolver, os.path.realpath("/etc/resolv.conf")], check=True)
    names: set[str] = set()
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    threading.Thread(target=answer, args=(server, names), daemon=True).start()
    kept = {"PATH", "PYTHONPATH", "LANG"}
    environment = {key: value for key, value in os.environ.items() if key in kept}
    environment |= {"HOME": str(home), "TMPDIR": str(temporary), "WORK": str(work), "PYTHONDONTWRITEBYTECODE": "1"}
    code = f"{program}\nimport time\ntime.sleep({seconds})\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=work, env=environment, check=False)
    files = [str(p.relative_to(folder)) for top in (home, temporary) for p in top.rglob("*") if p.is_file()]
    print(json.dumps({"names": sorted(names), "files": sorted(files), "code": done.returncode}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
