"""Which modules of the library an archive needs: the closure of its import statements, wherever they stand, but for
those that are for type checkers alone.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping

from edgeloop.errors import EdgeloopError


def needed(own: Mapping[str, bytes], library: Mapping[str, bytes]) -> set[str]:
    """Names of the library's files that the Python files in `own` import, directly or through one another.

    Both map archive names to contents; the library's begin with its package's name.

    >>> library = {"p/__init__.py": b"", "p/a.py": b"import p.b", "p/b.py": b"", "p/c.py": b""}
    >>> sorted(needed({"m.py": b"from p import a"}, library))
    ['p/__init__.py', 'p/a.py', 'p/b.py']
    >>> sorted(needed({"m.py": b"if TYPE_CHECKING:\\n    import p.a\\nelse:\\n    import p.c"}, library))
    ['p/__init__.py', 'p/c.py']
    """
    modules = {_module(name): name for name in library if name.endswith(".py")}
    todo = [(name, data) for name, data in own.items() if name.endswith(".py")]
    found: set[str] = set()
    while todo:
        name, data = todo.pop()
        for module in _imported(name, data):
            parts = module.split(".")
            for end in range(1, len(parts) + 1):
                file = modules.get(".".join(parts[:end]))
                if file is not None and file not in found:
                    found.add(file)
                    todo.append((file, library[file]))
    return found | {name for name in library if not name.endswith(".py") and _nearest(name, modules.values()) in found}


def _nearest(name: str, files: Collection[str]) -> str:
    """The package that a file which is no module belongs to, as the name of its `__init__.py`."""
    folder = name.rpartition("/")[0]
    while folder and f"{folder}/__init__.py" not in files:
        folder = folder.rpartition("/")[0]
    return f"{folder}/__init__.py"


def _module(name: str) -> str:
    """
    >>> _module("edgeloop/wire/__init__.py"), _module("edgeloop/wire/codec.py")
    ('edgeloop.wire', 'edgeloop.wire.codec')
    """
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(name: str, data: bytes) -> Iterator[str]:
    try:
        tree = ast.parse(data, filename=name)
    except SyntaxError as error:
        raise EdgeloopError("cannot read the source", where=f"{name} line {error.lineno}", why=error.msg) from error
    package = _module(name) if name.endswith("/__init__.py") else _module(name).rpartition(".")[0]
    for node in _running(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those below `if TYPE_CHECKING:`."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        checking = isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        todo += node.orelse if isinstance(node, ast.If) and checking else ast.iter_child_nodes(node)
