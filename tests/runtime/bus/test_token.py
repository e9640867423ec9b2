"""Token renewal against a core: for a process of the component's own unit only."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from edgeloop.bus.token import renew


def test_who_answers_nothing_or_nonsense_gives_no_token(short_folder: Path) -> None:
    path = short_folder / "x.socket"
    assert renew(path, "a.B", 0.2) == ""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(2)
        assert renew(path, "a.B", 0.2) == ""

        def nonsense() -> None:
            first, _ = server.accept()
            first.close()
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"x" * 64)

        thread = threading.Thread(target=nonsense)
        thread.start()
        assert renew(path, "a.B", 5) == ""
        thread.join(30)
