from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeloop_tools.config.checks import check
from edgeloop_tools.config.line import Line, load

EXAMPLE = Path(__file__).resolve().parents[3] / "scripts" / "edgeloop_tools" / "config" / "examples" / "press"
Made = Callable[..., Line]


@pytest.fixture
def example() -> Path:
    """The folder of the example."""
    return EXAMPLE


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A checked line of a text, its problems not raised; further texts are overlays."""

    def make(text: str, *overlays: str, nucleus: str = "lite") -> Line:
        files = []
        for number, content in enumerate((text, *overlays)):
            file = tmp_path / ("line.yaml" if not number else f"over{number}.yaml")
            file.write_text(content)
            files.append(file)
        line = load(files[0], files[1:])
        check(line, nucleus)  # type: ignore[arg-type]
        return line

    return make


@pytest.fixture
def told(made: Made, tmp_path: Path) -> Callable[..., list[str]]:
    """The lines that `config check` would print, without the folder."""

    def tell(text: str, *overlays: str, nucleus: str = "lite") -> list[str]:
        return [str(p).replace(f"{tmp_path}/", "") for p in made(text, *overlays, nucleus=nucleus).problems]

    return tell
