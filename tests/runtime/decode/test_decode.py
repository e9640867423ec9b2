"""The one decoder: its bounds, and the same promise for every reader of documents from outside."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop import decode, documents
from edgeloop.alarms import Alarm, Cause, commands, journal, labels
from edgeloop.errors import DecodeError, EdgeloopError, WireError
from edgeloop.journal.cursor import Cursor, CursorFile
from edgeloop.models import manifest, report, store
from edgeloop.queue.folder import Description
from edgeloop.queue.released import load as load_released
from edgeloop.wire.mapping import load_map
from edgeloop_tools.harness import hostile
from edgeloop_tools.harness.hostile import BEYOND, BINARY, ODD, mutations
from sensor_ingest.payload import senml
from sensor_ingest.payload.documents import loads
from sensor_ingest.payload.errors import BadPayload
from sensor_ingest.sources.process.header import Header
from stream_upload import state as uploaded


class Typed(msgspec.Struct, kw_only=True):
    id: str = ""
    issued: int = 0
    value: float = 0.0
    cause: dict[str, Any] = {}


@pytest.mark.parametrize("name", BEYOND)
@pytest.mark.parametrize("kind", [Any, Typed])
def test_what_is_beyond_the_bounds_is_one_error(name: str, kind: Any) -> None:
    for strict in (True, False):
        with pytest.raises(DecodeError) as refused:
            decode.document(BEYOND[name], kind, what="a thing", where="here", strict=strict)
        assert str(refused.value).startswith("a thing cannot be used (here): ")
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize("text", ["1" + "0" * 400, "nan", "inf", "1e400"])
def test_a_number_that_comes_as_a_text_has_the_same_bounds(text: str) -> None:
    for field in ("issued", "value"):
        with pytest.raises(DecodeError):
            print(decode.document(f'{{"{field}":"{text}"}}'.encode(), Typed, strict=False))


@pytest.mark.parametrize("name", BINARY)
def test_hostile_cbor_is_one_error_or_a_plain_value(name: str) -> None:
    try:
        value = decode.cbor(BINARY[name])
    except DecodeError:
        return
    assert len(repr(value)) < 1000


def test_what_is_at_the_bounds_is_taken() -> None:
    assert decode.document(b"[" * 32 + b"]" * 32) == json.loads(b"[" * 32 + b"]" * 32)
    assert decode.document(b'{"a":18446744073709551615,"b":-9223372036854775808}')["a"] == 2**64 - 1
    assert len(decode.document(b'"' + b"x" * 65_536 + b'"')) == 65_536
    assert decode.document(b'{"id":"a"}'.ljust(1 << 20)) == {"id": "a"}


def _within(value: Any, depth: int = 0) -> bool:
    """What the decoder promises, said in another way."""
    if isinstance(value, dict):
        return depth < 32 and all(_within(k, depth) and _within(v, depth + 1) for k, v in value.items())
    if isinstance(value, list):
        return depth < 32 and all(_within(v, depth + 1) for v in value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    return not isinstance(value, str) or len(value) <= 65_536


def test_any_document_is_read_as_json_reads_it_or_refused() -> None:
    rng = random.Random(5)

    def value(depth: int) -> Any:
        match rng.randrange(7 if depth < 40 else 5):
            case 0:
                return rng.choice((True, None, False))
            case 1:
                return rng.choice((-1, 1)) * rng.getrandbits(rng.choice((3, 31, 62, 63, 64, 65, 70)))
            case 2:
                return rng.uniform(-1e9, 1e9)
            case 3 | 4:
                return "ä\n[{1" * rng.choice((1, 3, 20, 20_000))
            case 5:
                return [value(depth + rng.choice((1, 9)))] * rng.choice((1, 2))
            case _:
                return {f"k{n}": value(depth + 1) for n in range(rng.randrange(4))}

    taken = 0
    for _ in range(1500):
        document = value(0)
        for _ in range(rng.choice((0, 0, 30, 34))):
            document = [document]
        data = json.dumps(document).encode()
        try:
            assert decode.document(data) == document
            taken += 1
            assert _within(document)
        except DecodeError:
            assert not _within(document) or len(data) > 1 << 20
    assert 300 < taken < 1400


def _alarm() -> Alarm:
    return Alarm(
        id="a1", monitor="m", asset="press1", kind="process", severity="low", state="raised", text="t", raised_at=5,
        time=9, sample_time=5, cause=Cause(stream="press1_vib", epoch=2**64 - 1, index=100),
    )  # fmt: skip


def _file(read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    def reader(data: bytes, folder: Path) -> object:
        (folder / "document").write_bytes(data)
        return read(folder / "document")

    return reader


def _alarms(data: bytes, folder: Path) -> object:
    (folder / "alarms.jsonl").write_bytes(data)
    kept = journal.AlarmJournal(folder / "alarms.jsonl")
    kept.close()
    return kept.alarms


def _told(kept: CursorFile | uploaded.Saved) -> object:
    """What stands in for a damaged file is told of."""
    value = kept.load()
    if kept.damage:
        raise EdgeloopError("damaged", where="here", why=kept.damage)
    return value


def _pointer(data: bytes, folder: Path) -> object:
    (folder / store.POINTER).write_bytes(data)
    return store.read(folder)


READERS: dict[str, Callable[[bytes, Path], object]] = {
    "plain documents": lambda data, _: documents.decode(data),
    "alarm commands": lambda data, _: commands.parse(data),
    "alarms in a file": _alarms,
    "labels": lambda data, _: labels([data]),
    "a cursor": _file(lambda path: _told(CursorFile(path))),
    "what was released": _file(load_released),
    "a queue's description": _file(lambda path: decode.file(path, Description)),
    "what was uploaded": _file(lambda path: _told(uploaded.Saved(path))),
    "a model's pointer": _pointer,
    "a model's report": _file(report.read),
    "a manifest": lambda data, _: manifest.decode(data),
    "a process's header": lambda data, _: Header.parse(data, "here"),
    "payloads": lambda data, _: loads(data),
    "SenML": lambda data, _: senml.readings(data, 0),
}
SEEDS = [
    b'{"command":"acknowledge","id":"a018bcfe5687b-7e04","reason":"true"}', _alarm().document(),
    msgspec.json.encode(Cursor("", 0)) if isinstance(Cursor, type) else b"{}",
    b'{"announced":"a1","time":9}', b'{"rate":"25.6 kHz","dtype":">i2","channels":{"x":{"unit":"m/s2","scale":0.5}}}',
    b'{"id":"a","target":"speed","value":5,"issued":1700000000000000000,"cause":{"rule":"r"}}',
    b'[{"bn":"press1:","bt":1.6e9,"n":"temp","u":"Cel","v":21.5},{"n":"on","vb":true}]',
    bytes.fromhex("81a3006474656d700243404500"), *ODD.values(),
]  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_falls_over_any_document(reader: str, tmp_path: Path) -> None:
    read = READERS[reader]
    corpus = [*BEYOND.values(), *ODD.values(), *BINARY.values(), *mutations(SEEDS, 400)]
    refused = []
    for data in corpus:
        try:
            read(data, tmp_path)
        except (EdgeloopError, BadPayload) as error:
            refused.append(str(error))
    assert not any("\n" in line for line in refused)
    assert refused or reader in ("labels", "alarms in a file", "a model's report")


@pytest.mark.parametrize("kind", ["fifo", "loop", "folder", "large", "dangling"])
def test_a_file_that_is_none_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "document"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path)
        case "folder":
            path.mkdir()
        case "large":
            os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 40)
        case "dangling":
            path.symlink_to(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError if kind == "dangling" else DecodeError):
        decode.file(path)


def test_a_long_text_that_is_cut_off_damages_no_memory() -> None:
    """cbor2's native decoder writes beyond its buffers there; the process then dies some time later."""
    code = (
        "from edgeloop import decode\n"
        "from edgeloop.errors import EdgeloopError\n"
        "from edgeloop.wire.mapping import head_fields, load_map\n"
        "import sys\n"
        "sys.path.append(sys.argv[1])\n"
        "from edgeloop_tools.harness.hostile import BINARY\n"
        "for _ in range(15):\n"
        "    for data in BINARY.values():\n"
        "        for read in (decode.cbor, load_map, lambda d: head_fields(b'\\xa1' + d)):\n"
        "            for hostile in (data, b'\\xa1\\x61a' + data):\n"
        "                try:\n"
        "                    read(hostile)\n"
        "                except EdgeloopError:\n"
        "                    pass\n"
    )
    library, tools = Path(decode.__file__).parents[2], Path(hostile.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(library), "MALLOC_PERTURB_": "170"}
    done = subprocess.run([sys.executable, "-c", code, str(tools)], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=80) | st.binary(max_size=80),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
))  # fmt: skip
def test_cbor_comes_back_as_it_was(value: Any) -> None:
    assert decode.cbor(cbor2.dumps(value)) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_an_item_or_one_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode.cbor(data)
    with contextlib.suppress(WireError):
        load_map(data)
