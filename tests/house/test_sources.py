"""Rules that keep the tree as it is meant to be."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = ROOT / "components"
TOOLS = ROOT / "scripts" / "edgeloop_tools"
PACKAGES = {path.parent.name for path in COMPONENTS.glob("*/declaration.py")} - {"runtime"}
DEVICE = {"numpy", "msgspec", "cbor2", "awsiot", "awscrt", "edgeloop"}
"""What a component may import at all, in the core profile."""
WEB = {"edgeloop_web", "starlette", "uvicorn", "argon2", "cryptography"}
"""What the web stack and the pages on it may import beside, in the profile console."""

INSTALLER = {"declaration", "doctor"} | {path.stem for path in (COMPONENTS / "runtime").glob("*.py")} | {"locks"}
"""Runtime's own modules, which run before anything is installed."""

SOURCES = sorted(path for top in (COMPONENTS, ROOT / "scripts", ROOT / "tests") for path in top.rglob("*.py"))


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, node.module or ""


def owner(path: Path) -> str:
    return path.relative_to(COMPONENTS).parts[0]


def test_imports_run_one_way() -> None:
    wrong = []
    for path in (path for path in SOURCES if path.is_relative_to(COMPONENTS)):
        own = {owner(path)} if owner(path) != "runtime" else set()
        outside = (PACKAGES | {"edgeloop_tools", "tests"}) - own
        wrong += [f"{shown(path)}:{line} {name}" for line, name in imports(path) if name.split(".")[0] in outside]
    assert wrong == []


def test_components_import_what_a_device_has() -> None:
    wrong = []
    for path in (path for path in SOURCES if path.is_relative_to(COMPONENTS)):
        allowed = DEVICE | set(sys.stdlib_module_names) | {owner(path)}
        if path.parent in (COMPONENTS / "runtime", COMPONENTS / "runtime" / "doctor"):
            allowed |= INSTALLER
        if COMPONENTS / "console" in path.parents or COMPONENTS / "runtime" / "edgeloop_web" in path.parents:
            allowed |= WEB
        wrong += [f"{shown(path)}:{line} {name}" for line, name in imports(path) if name.split(".")[0] not in allowed]
    assert wrong == []


def test_the_installer_needs_the_standard_library_alone() -> None:
    allowed = set(sys.stdlib_module_names) | {"edgeloop"} | INSTALLER
    own = [path for path in (COMPONENTS / "runtime").glob("*.py") if path.name != "declaration.py"]
    doctor = (COMPONENTS / "runtime" / "doctor").glob("*.py")
    for path in (*own, TOOLS / "checkout.py", *doctor):
        assert {name.split(".")[0] for _, name in imports(path)} <= allowed, shown(path)
    for name in ("__init__.py", "errors.py", "kernelclock.py"):
        found = {module for _, module in imports(COMPONENTS / "runtime" / "edgeloop" / name)}
        assert found <= {"__future__", "ctypes", "dataclasses", "os"}, name


def test_files_and_folders_stay_small() -> None:
    long = [shown(path) for path in SOURCES if len(path.read_text().splitlines()) >= 800]
    assert long == []
    folders = {path.parent for path in SOURCES}
    assert [shown(folder) for folder in folders if len(list(folder.glob("*.py"))) >= 40] == []


def test_nothing_is_named_after_nothing() -> None:
    vague = {"util", "utils", "helper", "helpers", "common", "misc"}
    assert [shown(path) for path in SOURCES if {path.stem, path.parent.name} & vague] == []


FORBIDDEN = {("shell", "True"), ("allow_pickle", "True")}


def violations(path: Path) -> Iterator[str]:
    text = path.read_text()
    for node in ast.walk(ast.parse(text)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{shown(path)}:{line} bare except"
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            silent = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
            if silent and ast.unparse(node.type) in ("Exception", "BaseException"):
                yield f"{shown(path)}:{line} swallows every error"
        if isinstance(node, ast.keyword) and (node.arg, ast.unparse(node.value)) in FORBIDDEN:
            yield f"{shown(path)}:{line} {node.arg}=True"
        if isinstance(node, ast.Name) and node.id in ("eval", "exec"):
            yield f"{shown(path)}:{line} {node.id}"
    yield from (
        f"{shown(path)}:{line} pickle" for line, name in imports(path) if name in ("pickle", "marshal", "shelve")
    )
    words = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    for number, line_text in enumerate(text.splitlines(), 1):
        if any(word in line_text for word in words):
            yield f"{shown(path)}:{number} {line_text.strip()}"


def test_no_shortcuts() -> None:
    assert [line for path in SOURCES for line in violations(path)] == []


DECODERS = {"json": {"loads", "load", "decode", "Decoder"}, "cbor2": {"loads", "load", "CBORDecoder"}}
BOUNDS_OF_THEIR_OWN = {
    "components/runtime/edgeloop/decode": "the decoder",
    "components/runtime/edgeloop/wire": "frames of samples, checked by CRC-32C, length and type, key by key",
    "components/runtime/ipc.py": "the installer, which has the standard library alone, asks its nucleus: 1 MiB at most",
    "components/anomaly_inference": "what monitors have learned, inside the arrays that they wrote themselves",
    "components/sensor_ingest/payload/compiled.py": "rows of a type made for them: numbers and times, nothing nested",
}


def test_documents_are_read_by_the_one_decoder() -> None:
    wrong = []
    for path in (path for path in SOURCES if path.is_relative_to(COMPONENTS)):
        if any(shown(path).startswith(known) for known in BOUNDS_OF_THEIR_OWN):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Attribute):
                continue
            if node.attr in DECODERS.get(ast.unparse(node.value).rpartition(".")[2], ()):
                wrong.append(f"{shown(path)}:{node.lineno} {ast.unparse(node)}: use edgeloop.decode")
    assert wrong == []


def test_tests_mirror_the_tree_without_packages() -> None:
    assert [shown(path) for path in (ROOT / "tests").rglob("__init__.py")] == []
    tops = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}
    assert tops <= {"house", "runtime", "scripts", "end_to_end", "benchmarks", *PACKAGES}


@pytest.mark.parametrize("folder", sorted({"runtime", *PACKAGES}))
def test_every_component_has_a_readme_with_its_configuration(folder: str) -> None:
    text = (COMPONENTS / folder / "README.md").read_text()
    table = text.partition("<!-- configuration -->")[2].partition("<!-- /configuration -->")[0]
    assert table.count("\n| `") >= 1


CLOCKS = {"clock.now", "time.time", "time.time_ns"}
BY_THE_CLOCK = {
    "components/anomaly_inference/learned.py:load": "the age of a file, over a restart",
    "components/anomaly_inference/service.py:_now": "how far the samples' own times are behind, not a wait",
    "components/camera_inference/capture.py:_hand_over": "the age that a frame's own time stamp says, bounded",
    "components/camera_inference/pipeline.py:_seen": "how long ago a trigger was, by the stamp of its sample",
    "components/camera_inference/sources/stream/video.py:_time": "whether a camera's own time stamp is believed",
    "components/runtime/edgeloop/component.py:restart": "the age of a file, over a restart",
    "components/runtime/edgeloop/durable/listing.py:names": "the age of a folder's time stamp",
    "components/runtime/edgeloop/models/active.py:_remembered": "the age of what was written, over a restart",
    "components/stream_upload/uploader.py:_numbers": "the age of files, over a restart; shown only",
    "components/runtime/edgeloop_web/sessions.py:begin": "how long ago a login was, over a restart",
    "components/runtime/edgeloop_web/sessions.py:session": "how long ago a login was, over a restart",
    "components/runtime/edgeloop_web/oidc.py:claims": "until when a token is good, as its issuer says",
    "components/console/api/routes.py:asked": "the span back from now that a page asks for",
    "scripts/edgeloop_tools/model/compare.py:compare": "how far back what was noted is looked at",
    "scripts/edgeloop_tools/operate/alarms.py:_show": "the age of alarms; shown only",
    "scripts/edgeloop_tools/status/lines.py:_age": "the age of what is shown; nothing waits by it",
}
"""Functions that may take differences of this device's clock, each with why: nothing waits by them."""


def differences(path: Path) -> Iterator[str]:
    """Functions that subtract what the device's clock says, directly or by a name of the function's own."""

    def of_clock(node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and ast.unparse(node.func) in CLOCKS

    text = path.read_text()
    for function in ast.walk(ast.parse(text)) if any(f"{name}()" in text for name in CLOCKS) else ():
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        names: set[str] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    pairs = [(target, node.value)]
                    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                        pairs = list(zip(target.elts, node.value.elts, strict=False))
                    names |= {ast.unparse(name) for name, value in pairs if of_clock(value)}
        for node in ast.walk(function):
            sides = (node.left, node.right) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) else ()
            if any(of_clock(side) or ast.unparse(side) in names for side in sides):
                yield f"{shown(path)}:{function.name}"
                break


def test_nothing_waits_by_the_devices_clock() -> None:
    """A clock that is set must neither hold anything back nor hurry it: waits and intervals are monotonic."""
    product = [path for path in SOURCES if not path.is_relative_to(ROOT / "tests")]
    found = {place for path in product for place in differences(path)}
    assert found - BY_THE_CLOCK.keys() == set(), "clock.elapsed() or clock.Steady"
    assert BY_THE_CLOCK.keys() - found == set(), "take them off the list"
