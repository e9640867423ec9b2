"""`analyse build`: what an image of the analyses is made from, wherever there is an engine for containers."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgeloop.errors import EdgeloopError
from edgeloop_tools.analyse.definition import CODE

CHECKOUT: Final = Path(__file__).resolve().parents[3]
PYTHON: Final = "3.12-slim-bookworm"
USER: Final = 65532
TAKEN: Final = ("components", "scripts")
LEFT_OUT: Final = ("__pycache__", "*.pyc", ".*")

_DOCKERFILE: Final = """# Made by `edgeloop analyse build`: the tools with the extra `analytics`, from the locks.
FROM python:{python}
COPY components /edgeloop/components
COPY scripts /edgeloop/scripts
RUN python -B /edgeloop/scripts/edgeloop_tools/checkout.py /edgeloop/.venv tools \\
 && /edgeloop/.venv/bin/python -c "from edgeloop_tools.extras import need; need('analytics')"
{own}ENV PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR=/tmp/numba HOME=/tmp
USER {user}:{user}
WORKDIR /tmp
ENTRYPOINT ["/edgeloop/.venv/bin/python", "-m", "edgeloop_tools"]
CMD ["analyse", "--help"]
"""


def build(out: Path, own: Sequence[Path] = ()) -> Path:
    """Writes Dockerfile and context into a folder that is not there yet. own: folders of analyses of one's own; in the
    image they are /analyses/<name>. Raises EdgeloopError."""
    for folder in own:
        if not (folder / CODE).is_file():
            raise EdgeloopError("no such analysis", where=str(folder), mend=f"a folder with {CODE}")
    if out.exists():
        raise EdgeloopError("is there already", where=str(out), mend="take another name")
    ignored = shutil.ignore_patterns(*LEFT_OUT)
    try:
        for name in TAKEN:
            shutil.copytree(CHECKOUT / name, out / name, ignore=ignored)
        for folder in own:
            shutil.copytree(folder, out / "analyses" / folder.resolve().name, ignore=ignored)
        added = "COPY analyses /analyses\n" if own else ""
        (out / "Dockerfile").write_text(_DOCKERFILE.format(python=PYTHON, own=added, user=USER))
    except OSError as error:
        where = str(error.filename or out)
        raise EdgeloopError("cannot make the context", where=where, why=error.strerror or "") from error
    return out
