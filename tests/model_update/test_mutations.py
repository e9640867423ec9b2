"""Packages that were changed in ten thousand ways: each is refused for a reason, and nobody who infers notices.

`EDGELOOP_LONG=1`: 10,000; else 200. Twenty good ones are committed in between.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import random
import tarfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from edgeloop.models import ModelRefused, archive, signature, trial
from edgeloop.models.errors import Reason
from edgeloop.models.manifest import Golden, Manifest, Variant
from edgeloop.models.package import listed
from edgeloop.models.proof import Prover

from .conftest import linear_model

LONG = os.environ.get("EDGELOOP_LONG") == "1"
COUNT, GOOD = (10_000, 20) if LONG else (200, 4)


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as found:
        return {each.name: found.extractfile(each).read() for each in found.getmembers()}  # type: ignore[union-attr]


def foreign(files: dict[str, bytes], change: Callable[[tarfile.TarInfo], None]) -> bytes:
    """As any program would, with the same headers as ours."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as made:
        for name, data in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            change(info)
            made.addfile(info, io.BytesIO(data))
    return target.getvalue()


def packed(files: dict[str, bytes], path: Path, secret: str = "") -> bytes:
    """In our own form. secret: signs what is there."""
    if secret:
        files = files | {"manifest.sig": signature.sign(files["manifest.json"], secret)}
    try:
        archive.write(path, files)
    except ModelRefused:
        return foreign(files, lambda info: None)
    return path.read_bytes()


def resigned(files: dict[str, bytes], chance: random.Random, path: Path, secret: str) -> bytes:
    """By who has the key, and no good."""
    document = msgspec.json.decode(files["manifest.json"])
    kind = chance.randrange(7)
    if kind == 0:
        document["name"] = "other"
    elif kind == 1:
        document["version"] = "0.0.1"
    elif kind == 2:
        document["variants"][0]["architecture"] = "armv7l"
    elif kind == 3:
        document["schema"] = 99
    elif kind == 4:
        document["inputs"] = []
    elif kind == 5:
        document["golden"]["file"] = "../golden.npz"
    else:
        cases = dict(np.load(io.BytesIO(files["golden.npz"])))
        key = chance.choice([name for name in sorted(cases) if name.startswith("output")])
        cases[key] = np.full_like(cases[key], chance.choice([np.nan, np.inf, -1e30]))
        target = io.BytesIO()
        np.savez(target, **cases)
        files = files | {"golden.npz": target.getvalue()}
        document["files"] = msgspec.to_builtins(listed({k: v for k, v in files.items() if k in document["files"]}))
    data = msgspec.json.encode(document)
    with suppress(msgspec.ValidationError):
        data = msgspec.json.decode(data, type=Manifest).encode()
    return packed(files | {"manifest.json": data}, path, secret)


def value(chance: random.Random) -> Any:
    return chance.choice(
        [None, True, -1, 0, 1e308, 2**63, "", "x" * 300, "../up", "/etc/passwd", [], {}, [[]], "NaN", "1.0", "\0"]
    )


def deeper(document: Any, chance: random.Random) -> None:
    """One value somewhere in it becomes another, goes, or comes."""
    node = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            break
        key = chance.choice(keys)
        if isinstance(node[key], (dict, list)) and node[key] and chance.random() < 0.7:
            node = node[key]
            continue
        way = chance.random()
        if way < 0.7:
            before = node[key]
            while node[key] == before:
                node[key] = value(chance)
        elif isinstance(node, dict) and way < 0.85:
            del node[key]
        elif isinstance(node, dict):
            node[f"more{chance.randrange(9)}"] = value(chance)
        else:
            node.append(value(chance))
        return
    if isinstance(node, dict):
        node["more"] = value(chance)


def mutated(data: bytes, chance: random.Random, path: Path, secret: str) -> bytes:
    """Other bytes than `data`."""
    files = members(data)
    kind = chance.randrange(11)
    if kind == 0:
        found = bytearray(data)
        for _ in range(chance.randrange(1, 5)):
            found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
        return bytes(found)
    if kind == 1:
        return data[: chance.randrange(len(data))]
    if kind == 2:
        return data + bytes(chance.choice([1, 511, 512, 10_240]))
    if kind == 3:
        document = msgspec.json.decode(files["manifest.json"])
        deeper(document, chance)
        return packed(files | {"manifest.json": msgspec.json.encode(document)}, path)
    if kind == 4:
        name = chance.choice(sorted(files))
        found = bytearray(files[name] or b"\0")
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
        return packed(files | {name: bytes(found)}, path)
    if kind == 5:
        name = chance.choice(["../evil", "/abs", "a/../b", "golden.npz.bak", "ü", "x" * 90])
        return packed(files | {name: b"x"}, path)
    if kind == 6:
        del files[chance.choice(sorted(files))]
        return packed(files, path)
    if kind == 7:
        what = chance.choice(["type", "mode", "uid", "mtime", "link"])

        def change(info: tarfile.TarInfo) -> None:
            if what == "type":
                info.type = chance.choice([tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
            elif what == "mode":
                info.mode = 0o4755
            elif what == "uid":
                info.uid = 1
            elif what == "mtime":
                info.mtime = 7
            else:
                info.linkname = "/etc/passwd"

        return foreign(files, change)
    if kind < 10:
        return resigned(files, chance, path, secret)
    return bytes(chance.randbytes(chance.randrange(4000)))


def with_int8(bias: float) -> dict[str, Any]:
    """Two variants, the second with tolerances of its own."""
    rough = Variant(runtime="onnxruntime", path="rough.onnx", precision="int8", golden=Golden(absolute=1.0))
    more = {"rough.onnx": linear_model.linear(bias + 0.1)}
    return {"schema": 2, "variants": (Variant(runtime="onnxruntime", path="model.onnx"), rough), "more": more}


def with_neo(bias: float) -> dict[str, Any]:
    """A folder for dlr beside it, which this device has no runtime for."""
    neo = Variant(runtime="dlr", path="neo", architecture="x86_64")
    return {"variants": (neo, Variant(runtime="onnxruntime", path="model.onnx")), "more": {"neo/compiled.so": b"x"}}


GOOD_FORMS: tuple[Callable[[float], dict[str, Any]], ...] = (
    lambda bias: {}, with_int8, lambda bias: {"task": "classification", "labels": ("good", "bad")}, with_neo,
    lambda bias: {"task": "anomaly"},
)  # fmt: skip


def test_none_of_them_is_taken(
    site: Any, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    secret = base64.b64encode(private.private_bytes_raw()).decode()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()

    def quick(prover: Any, package: Any, variant: Any, task: Any, timeout: float) -> trial.Outcome:
        try:
            return trial.attempt(package.folder, package.manifest.variants.index(variant), task)
        except ModelRefused as error:
            return trial.Outcome(error=str(error), reason=error.reason, final=True)

    monkeypatch.setattr(trial, "_TIMED", 0.0)
    monkeypatch.setattr(Prover, "prove", quick)
    chance = random.Random(11)
    settings = {"keys": {"release": public}}
    first = make(1.0, version="1.0.0", key=secret)
    site.want(*first, settings=settings)
    site.updates.advance()
    signed, plain = make(2.0, version="9.0.0", key=secret)[0].read_bytes(), make(3.0, version="9.0.0")[0].read_bytes()
    path = tmp_path / "mutated.tar"
    committed = 0
    told: set[str | None] = set()
    with site.user() as user:
        for k in range(COUNT):
            if k % (COUNT // GOOD) == 0:
                committed += 1
                form = GOOD_FORMS[committed % len(GOOD_FORMS)](float(k))
                site.want(*make(float(k), version=f"1.{committed}.0", key=secret, **form), settings=settings)
                site.updates.advance()
                user.notice()
                while (user.report.fate, user.report.generation) != ("loaded", site.pointer.generation):
                    time.sleep(0.005)
                assert user.current is not None
                user.used(user.current, 10)
                user._say()
                site.updates._due.clear()
                site.updates.advance()
                assert site.pointer.state == "committed"
                assert site.pointer.active.version == f"1.{committed}.0"
            data = mutated(chance.choice([signed, plain]), chance, tmp_path / "made.tar", secret)
            path.write_bytes(data)
            site.want(path, hashlib.sha256(data).hexdigest(), settings=settings)
            site.updates.advance()
            why = next(iter(reversed(site.updates._deliveries["linear"]._progress.refused.values())), "")
            assert site.pointer.active.version == f"1.{committed}.0", (k, why)
            assert "is refused: " in site.problem, (k, site.problem)
            told.add(last(site.work / "history.jsonl").get("reason"))
            assert user.current is not None
            assert user.current.origin == "active"
            user.used(user.current, 1)
    assert committed == GOOD
    told -= {None}  # the same bytes again: refused by what is known of them
    assert told <= set(Reason)
    assert {"form", "manifest", "signature", "unsigned", "name", "older", "machine", "golden"} <= told
    print(f"{COUNT:,} packages refused, {len(told)} reasons, {committed} good ones committed in between")


def last(history: Path) -> Any:
    """The newest record, without its checksum."""
    with history.open("rb") as file:
        file.seek(max(0, history.stat().st_size - 8192))
        line = file.read().splitlines()[-1]
    return msgspec.json.decode(line[line.index(b"{") :])
