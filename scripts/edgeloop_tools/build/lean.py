"""Sources without what a device does not read. Every line keeps its number, so that tracebacks stay true."""

from __future__ import annotations

import ast


def lean(source: bytes) -> bytes:
    """The module without its documentation strings; as it is where it reads them (`__doc__`).

    >>> lean(b'def f():\\n    \\'\\'\\'Says\\n    much.\\'\\'\\'\\n    return 1\\n')
    b'def f():\\n    ""\\n\\n    return 1\\n'
    """
    if b"__doc__" in source:
        return source
    lines = source.splitlines(keepends=True)
    for text in sorted(_documentation(ast.parse(source)), key=lambda node: node.lineno, reverse=True):
        first, last = text.lineno - 1, (text.end_lineno or text.lineno) - 1
        kept = lines[first][: text.col_offset] + b'""' + lines[last][text.end_col_offset :]
        lines[first : last + 1] = [kept, *[b"\n"] * (last - first)]
    return b"".join(lines)


def _documentation(tree: ast.Module) -> list[ast.Constant]:
    """Strings that stand alone as a statement: of modules, classes, functions and attributes."""
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
