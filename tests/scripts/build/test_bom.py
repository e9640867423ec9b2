from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from edgeloop_tools.build import build
from edgeloop_tools.build.bom import bom, packages
from edgeloop_tools.build.components import RUNTIME, UMBRELLA
from edgeloop_tools.build.wheelhouse import pack


def test_two_builds_have_one_bill_of_materials(tmp_path: Path) -> None:
    first, second = (bom(build(out=tmp_path / name)) for name in ("a", "b"))
    assert first == second
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(first) is None
    document = json.loads(first)
    needs = {d["ref"]: set(d.get("dependsOn", ())) for d in document["dependencies"]}
    assert RUNTIME in needs[UMBRELLA]
    assert set(packages("core")) | set(packages("vision")) <= needs[RUNTIME]
    files = {c["bom-ref"]: c for part in document["components"] for c in part.get("components", ())}
    archive = tmp_path / "a" / RUNTIME / document["metadata"]["component"]["version"] / "runtime.pyz"
    assert files[f"{RUNTIME}/runtime.pyz"]["hashes"][0]["content"] == hashlib.sha256(archive.read_bytes()).hexdigest()


def test_a_changed_artifact_changes_the_serial_number(tmp_path: Path) -> None:
    built = build(out=tmp_path)
    before = json.loads(bom(built))["serialNumber"]
    built[0].path.write_bytes(b"other")
    assert json.loads(bom(built))["serialNumber"] != before


def test_a_wheelhouse_is_the_same_bytes_whenever_it_is_packed(tmp_path: Path) -> None:
    wheel = tmp_path / "a-1.0-py3-none-any.whl"
    wheel.write_bytes(os.urandom(3_000_000))
    pack([wheel], tmp_path / "one.zip")
    os.utime(wheel, (1, 1))
    wheel.chmod(0o600)
    pack([wheel], tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
