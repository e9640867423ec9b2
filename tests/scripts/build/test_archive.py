from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.config.declaration import Declaration
from edgeloop.errors import EdgeloopError
from edgeloop_tools.build import archive, build, components, imports


class Empty(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Declaration[Empty]:
    """A component and a library of their own."""
    files = {
        "runtime/edgeloop/__init__.py": "",
        "runtime/edgeloop/used.py": "from . import also\n",
        "runtime/edgeloop/also.py": "",
        "runtime/edgeloop/unused.py": "",
        "runtime/edgeloop/data.json": "{}",
        "blinker/__init__.py": "",
        "blinker/__main__.py": "def main() -> int:\n    import edgeloop.used\n    print('blink')\n    return 3\n",
        "blinker/README.md": "left out",
        "blinker/sources/lamp/sample.yaml": "left out",
        "blinker/__pycache__/x.cpython-311.pyc": "left out",
    }
    for name, text in files.items():
        path = tmp_path / "components" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(components, "COMPONENTS", tmp_path / "components")
    monkeypatch.setattr(archive, "LIBRARIES", (tmp_path / "components" / "runtime" / "edgeloop",))
    return Declaration(name="org.example.Blinker", description="", package="blinker", configuration=Empty)


def names(data: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(data)).namelist()


def test_an_archive_holds_the_package_and_what_it_uses(sample: Declaration[Empty]) -> None:
    assert names(archive.pyz(sample)) == [
        "__main__.py",
        "blinker/__init__.py",
        "blinker/__main__.py",
        "edgeloop/__init__.py",
        "edgeloop/also.py",
        "edgeloop/data.json",
        "edgeloop/used.py",
    ]


def test_the_same_sources_give_the_same_bytes(sample: Declaration[Empty], tmp_path: Path) -> None:
    first = archive.pyz(sample)
    for path in (tmp_path / "components").rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    assert archive.pyz(sample) == first
    (tmp_path / "components" / "blinker" / "__init__.py").write_text("x = 1\n")
    assert archive.pyz(sample) != first


def test_it_runs(sample: Declaration[Empty], tmp_path: Path) -> None:
    path = tmp_path / "blinker.pyz"
    path.write_bytes(archive.pyz(sample))
    done = subprocess.run([sys.executable, "-I", "-S", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "blink\n", "")


def test_too_large_is_refused_and_nothing_is_written(
    sample: Declaration[Empty], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "components" / "blinker" / "noise.bin").write_bytes(os.urandom(archive.LIMIT))
    monkeypatch.setattr(components, "declarations", lambda: [sample])
    with pytest.raises(EdgeloopError, match=r"too large .*300,000; the largest file is blinker/noise\.bin"):
        build(out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_syntax_error_names_file_and_line(sample: Declaration[Empty], tmp_path: Path) -> None:
    (tmp_path / "components" / "blinker" / "__init__.py").write_text("x = 1\ndef\n")
    with pytest.raises(EdgeloopError, match=r"blinker/__init__\.py line 2"):
        archive.pyz(sample)


def test_build_writes_the_layout_of_the_greengrass_cli(tmp_path: Path) -> None:
    built = build(["runtime"], tmp_path)
    assert [one.path.relative_to(tmp_path).parts for one in built] == [("io.edgeloop.Runtime", "0.1.0", "runtime.pyz")]
    assert built[0].size == built[0].path.stat().st_size
    before = built[0].path.stat().st_mtime_ns
    assert build(["io.edgeloop.Runtime"], tmp_path) == built
    assert built[0].path.stat().st_mtime_ns == before, "what did not change is left alone"


def test_an_unknown_component_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EdgeloopError, match=r"no such component: nothing; one of runtime, "):
        build(["nothing"], tmp_path)


MODULES = ["p.a", "p.b", "p.q.c", "p.q.d"]
FILES = {"p.a": "p/a.py", "p.b": "p/b.py", "p.q.c": "p/q/c.py", "p.q.d": "p/q/d.py"}


@given(st.dictionaries(st.sampled_from(MODULES), st.sets(st.sampled_from(MODULES))), st.sets(st.sampled_from(MODULES)))
def test_what_is_needed_is_closed(edges: dict[str, set[str]], start: set[str]) -> None:
    def source(targets: set[str]) -> bytes:
        forms = ("import {0}", "def f():\n    from {1} import {2}")
        lines = []
        for number, target in enumerate(sorted(targets)):
            package, _, module = target.rpartition(".")
            lines.append(forms[number % 2].format(target, package, module))
        return "\n".join(lines).encode()

    library = {file: source(edges.get(module, set())) for module, file in FILES.items()}
    library |= {"p/__init__.py": b"", "p/q/__init__.py": b""}
    reached, todo = set(), list(start)
    while todo:
        if (module := todo.pop()) not in reached:
            reached.add(module)
            todo += edges.get(module, ())
    found = imports.needed({"m.py": source(start)}, library)
    assert {file for file in found if not file.endswith("__init__.py")} == {FILES[module] for module in reached}
