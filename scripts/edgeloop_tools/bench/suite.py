"""Which benchmarks there are."""

from __future__ import annotations

import ast
import importlib.util
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools import extras

CHECKOUT = Path(__file__).resolve().parents[3]

Figures = Mapping[str, Any]
GOALS = "goals"
"""Key of a benchmark's goals among its figures; each has `goal` in words, `figure`, `at_most` or `at_least` or both."""
EXTRAS, LONG = "EXTRAS", "LONG"
"""In a benchmark's file: the extras that it needs, a tuple of words; True where it is run only by its name."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    describes: str
    run: Callable[[], Figures]
    long: bool = False


def available() -> dict[str, Benchmark]:
    """By name: the files of tests/benchmarks, each with a function `run() -> Figures`."""
    found: dict[str, Benchmark] = {}
    for path in sorted((CHECKOUT / "tests" / "benchmarks").glob("*.py")):
        if not path.stem.startswith(("test_", "conftest")):
            words = ast.get_docstring(ast.parse(path.read_text())) or path.stem
            found[path.stem] = Benchmark(words.splitlines()[0], partial(_run, path), bool(_said(path, LONG)))
    return found


def show(figures: Figures, indent: int = 1) -> str:
    """Figures as aligned lines.

    >>> print(show({"a": 1, "b": {"c": 2.5, "d": 3}}))
      a  1
      b  c 2.5  d 3
    """
    figures = {key: value for key, value in figures.items() if key != GOALS}
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


def goals(figures: Figures) -> list[dict[str, Any]]:
    """A benchmark's goals, each with `reached`.

    >>> goals({"goals": [{"goal": "fast", "at_most": 5, "figure": 6.5}]})[0]["reached"]
    False
    """
    return [
        {**goal, "reached": goal.get("at_least", -math.inf) <= goal["figure"] <= goal.get("at_most", math.inf)}
        for goal in figures.get(GOALS, ())
    ]


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Goals beside figures.

    >>> print(table(goals({"goals": [{"goal": "a row", "at_most": 5, "figure": 2.25, "unit": "µs"}]})))
      a row  2.25 µs  goal at most 5 µs  reached
    """
    cells = []
    for row in rows:
        unit = f" {row['unit']}" if row.get("unit") else ""
        bounds = [f"{name.replace('_', ' ')} {_number(row[name])}" for name in ("at_least", "at_most") if name in row]
        reached = "reached" if row["reached"] else "NOT reached"
        cells.append((row["goal"], f"{_number(row['figure'])}{unit}", f"goal {', '.join(bounds)}{unit}", reached))
    widths = [max(len(cell[i]) for cell in cells) for i in range(3)]
    return "\n".join(
        "  " + "  ".join([*(text.ljust(width) for text, width in zip(cell, widths, strict=False)), cell[3]])
        for cell in cells
    )


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _said(path: Path, name: str) -> Any:
    """A constant of a benchmark's file, read before anything there is imported; None where it has none."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return ast.literal_eval(node.value)
    return None


def _run(path: Path) -> Figures:
    extras.need(*_said(path, EXTRAS) or ())
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
