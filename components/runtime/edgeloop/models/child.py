"""Python processes beside this one, for code that may crash: same interpreter, same sources, none of its secrets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import IO, Any

_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "TMPDIR", "ORT_DISABLE_TELEMETRY")
_CALL = "import sys; from {module} import main; sys.exit(main(sys.argv[1:]))"


def start(
    module: str, *arguments: str, pass_fds: Sequence[int] = (), stdout: Any, stderr: Any
) -> subprocess.Popen[bytes]:
    """Calls `module.main(arguments)` in a Python of its own session, with one thread for native code, and without the
    nucleus's token."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path and os.path.exists(path)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _CALL.format(module=module), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        env=environment,
        cwd="/",
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends it and what it started. Harmless when it is gone."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.poll()


def ending(code: int) -> str:
    """An exit code in words.

    >>> ending(-11), ending(3)
    ('killed by SIGSEGV', 'ended with code 3')
    """
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"ended with code {code}"


def last_line(file: IO[bytes], limit: int = 4000) -> str:
    """The last line that a process wrote to a file, or ""; where the process writes next stays as it is."""
    size = os.fstat(file.fileno()).st_size
    text = os.pread(file.fileno(), limit, max(0, size - limit)).decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
