from __future__ import annotations

import ast
from pathlib import Path

import pytest

from edgeloop_tools.build.lean import lean

COMPONENTS = Path(__file__).resolve().parents[3] / "components"
MODULES = sorted(COMPONENTS.rglob("*.py"))


def shape(source: bytes) -> str:
    """The program without documentation and functions' annotations, and with the line of every statement."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = ""
            node.end_lineno = node.end_col_offset = node.value.end_lineno = node.value.end_col_offset = 0
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.returns = None
    lines = [(type(n).__name__, n.lineno) for n in ast.walk(tree) if isinstance(n, ast.stmt)]
    return ast.dump(tree) + repr(lines)


def test_every_module_stays_the_program_it_was() -> None:
    assert MODULES
    for path in MODULES:
        source = path.read_bytes()
        assert b"__doc__" in source or shape(lean(source)) == shape(source), path
        assert lean(source).count(b"\n") == source.count(b"\n"), path


ODD = [b'x = "a"\n"doc"; y = 1\n', b'class A: "doc"\n', 'def ü(): "ü"; return "ü"\n'.encode()]


@pytest.mark.parametrize("source", ODD)
def test_odd_places(source: bytes) -> None:
    assert shape(lean(source)) == shape(source)
    assert b"doc" not in lean(source)


def test_a_module_that_reads_its_documentation_keeps_it() -> None:
    source = b'"""Says."""\nprint(__doc__)\n'
    assert lean(source) == source


ANNOTATED = """\
import msgspec


class A(msgspec.Struct):
    x: int = 1  # one

    def f(self, y: "# no comment", *z: dict[str, int], w: int = 2, **v: int) -> tuple[int, "->"]:  # comment
        return "# no comment"


async def g(x: "ü" = "ü", /) -> "ü": return x
"""
FUTURE = "from __future__ import annotations\n"


LEFT = """\
import msgspec


class A(msgspec.Struct):
    x: int = 1

    def f(self, y, *z, w = 2, **v):
        return "# no comment"


async def g(x = "ü", /): return x
"""


def test_annotations_of_functions_go_and_those_of_classes_stay() -> None:
    assert lean((FUTURE + ANNOTATED).encode()).decode() == FUTURE + LEFT


def test_annotations_that_are_evaluated_stay() -> None:
    source = ANNOTATED.replace("  # one", "").replace("  # comment", "").encode()
    assert lean(source) == source


def test_the_first_line_may_name_an_interpreter() -> None:
    assert lean(b"#!/usr/bin/env python3\n# gone\nx = 1\n") == b"#!/usr/bin/env python3\n\nx = 1\n"
