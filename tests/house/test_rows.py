"""The table of what was seen: every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
NAMED = re.compile(r"`([a-z0-9_/.-]+\.py)(?:::([\w…]+))?`")


def test_every_row_names_tests_that_are_there() -> None:
    rows = [line for line in (TESTS / "README.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) > 60
    wrong = []
    for row in rows:
        for file, name in NAMED.findall(row.rpartition(" | ")[2]):
            path = TESTS / file
            if not path.is_file():
                wrong.append(f"no file {file}")
            elif name and not any(known.startswith(name.rstrip("…")) for known in _tests(path)):
                wrong.append(f"no test {file}::{name}")
    assert wrong == []


def _tests(path: Path) -> list[str]:
    return [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
