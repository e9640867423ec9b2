"""Sources without what a device does not read: documentation, comments, the annotations of functions.

Those of classes stay, for they say how messages and settings are read. Every line keeps its number, so that tracebacks
stay true.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator

Span = tuple[tuple[int, int], tuple[int, int], bytes]
"""From (line, column) to (line, column), and what takes its place; lines from 1, columns in bytes."""


def lean(source: bytes) -> bytes:
    """The module as it runs; its documentation stays where it reads it (`__doc__`).

    >>> source = b'''from __future__ import annotations
    ... def f(x: int) -> int:
    ...     "Says much."
    ...     return x  # one
    ... '''
    >>> print(lean(source).decode(), end="")
    from __future__ import annotations
    def f(x):
        ""
        return x
    """
    tree = ast.parse(source)
    spans = [*_comments(source), *_annotations(tree, source)]
    if b"__doc__" not in source:
        spans += _documentation(tree)
    lines = [b"", *source.splitlines(keepends=True)]
    for (first, begin), (last, end), instead in sorted(spans, reverse=True):
        kept = lines[first][:begin] + instead + lines[last][end:]
        lines[first : last + 1] = [kept, *[b"\n"] * (last - first)]
    return b"".join(lines)


def _documentation(tree: ast.Module) -> Iterator[Span]:
    """Strings that stand alone as a statement: of modules, classes, functions and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield *_place(node.value), b'""'


def _comments(source: bytes) -> Iterator[Span]:
    """With the blanks before them, but for the first line, which may name an interpreter."""
    lines = source.splitlines()
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type == tokenize.COMMENT and token.start[0] > 1:
            line = lines[token.start[0] - 1]
            begin = len(line.decode()[: token.start[1]].rstrip().encode())
            yield (token.start[0], begin), (token.start[0], len(line)), b""


def _annotations(tree: ast.Module, source: bytes) -> Iterator[Span]:
    """What stands in one line, where annotations are not evaluated."""
    if not any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body):
        return
    lines = source.splitlines()
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        known = node.args
        several = [*known.posonlyargs, *known.args, *known.kwonlyargs, known.vararg, known.kwarg]
        for argument in filter(None, several):
            if argument.annotation is not None:
                (first, begin), end = _place(argument)
                if first == end[0]:
                    yield (first, begin + len(argument.arg.encode())), end, b""
        if node.returns is not None:
            (first, begin), end = _place(node.returns)
            arrow = lines[first - 1].rfind(b"->", 0, begin)
            if first == end[0] and arrow >= 0:
                yield (first, len(lines[first - 1][:arrow].rstrip())), end, b""


def _place(node: ast.expr | ast.arg) -> tuple[tuple[int, int], tuple[int, int]]:
    return (node.lineno, node.col_offset), (node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
