"""Which benchmarks there are."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from edgeloop.errors import EdgeloopError

CHECKOUT = Path(__file__).resolve().parents[3]

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Benchmark:
    describes: str
    run: Callable[[], Figures]


def available() -> dict[str, Benchmark]:
    """By name: the files of tests/benchmarks, each with a function `run() -> Figures`."""
    found: dict[str, Benchmark] = {}
    for path in sorted((CHECKOUT / "tests" / "benchmarks").glob("*.py")):
        if not path.stem.startswith(("test_", "conftest")):
            words = ast.get_docstring(ast.parse(path.read_text())) or path.stem
            found[path.stem] = Benchmark(words.splitlines()[0], partial(_run, path))
    return found


def show(figures: Figures, indent: int = 1) -> str:
    """Figures as aligned lines.

    >>> print(show({"a": 1, "b": {"c": 2.5, "d": 3}}))
      a  1
      b  c 2.5  d 3
    """
    width = max((len(str(k)) for k in figures), default=0)
    lines = []
    for key, value in figures.items():
        pad = "  " * indent
        if isinstance(value, Mapping) and not any(isinstance(v, (Mapping, list)) for v in value.values()):
            lines.append(f"{pad}{key!s:<{width}}  " + "  ".join(f"{k} {_number(v)}" for k, v in value.items()))
        elif isinstance(value, Mapping):
            lines += [f"{pad}{key}", show(value, indent + 1)]
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            lines.append(f"{pad}{key}")
            lines += ["  " * (indent + 1) + "  ".join(f"{k} {_number(v)}" for k, v in row.items()) for row in value]
        else:
            lines.append(f"{pad}{key!s:<{width}}  {_number(value)}")
    return "\n".join(lines)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _run(path: Path) -> Figures:
    figures: Figures = load(path).run()
    return figures


def load(path: Path) -> ModuleType:
    """The benchmark as a module."""
    name = f"edgeloop_benchmarks_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise EdgeloopError("cannot load the benchmark", where=str(path))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
