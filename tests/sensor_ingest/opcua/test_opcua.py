"""The OPC UA source against a real server in its own process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asyncua.crypto import cert_gen
from cryptography.x509.oid import ExtendedKeyUsageOID

from edgeloop import clock, topics
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.durable import seal, unseal
from edgeloop.errors import ConfigurationError, EdgeloopError
from edgeloop.sequence import Records, Samples
from edgeloop.wire.batch import Batch, RecordBatch
from sensor_ingest.rehearsal import Rehearsal, Running, play
from sensor_ingest.sources.opcua import SOURCE, OpcUa

SERVER = Path(__file__).parent / "server.py"
NODES = {
    "oil_temp": "nsu=urn:test:press;s=Press.OilTemp Cel",
    "speed": "nsu=urn:test:press;s=Press.Speed 1/min *0.1",
    "level": "nsu=urn:test:press;s=Press.Level",
    "running": "nsu=urn:test:press;s=Press.Running bool",
    "mode": "nsu=urn:test:press;s=Press.Mode enum(stopped,homing,running)",
    "order": "nsu=urn:test:press;s=Press.Order string",
}
WIDE = {"range": "-1000000000000..1000000000000"}


@pytest.fixture
def server(make_peer: Callable[..., Any]) -> Any:
    return make_peer(SERVER, "{port}")


def options(port: str, **more: Any) -> dict[str, Any]:
    url = f"opc.tcp://127.0.0.1:{port}/press/"
    fast = {"publish": "20 ms", "sampling": "10 ms", "hold": "1 h", "timeout": "10 s", "nodes": NODES}
    return {"type": "opcua", "url": url, **fast, **more}


def rows(outlet: Rehearsal) -> list[list[float]]:
    return [[float(x) for x in row] for c in list(outlet.chunks) if isinstance(c, Samples) for row in c.samples]


def records(outlet: Rehearsal, stream: str) -> list[dict[str, Any]]:
    found = []
    for chunk in list(outlet.chunks):
        if isinstance(chunk, Records) and chunk.stream == stream:
            for k in range(len(chunk.times)):
                columns = chunk.columns.items()
                found.append({n: c.labels[int(c.values[k])] if c.labels else c.values[k] for n, c in columns})
    return found


def put(server: Any, *lines: str) -> None:
    (server.folder / "set.new").write_text("\n".join(lines))
    (server.folder / "set.new").rename(server.folder / "set")


def test_nodes_become_rows_at_the_times_of_their_source(server: Any, tmp_path: Path) -> None:
    outlet = Rehearsal("press1", tmp_path)
    with Running(SOURCE, outlet, **options(server.port)) as run:
        run.until(lambda: len(outlet.chunks) >= 3)
        assert OpcUa.foresee("press1", run.source.configuration) == {
            "press1": ("oil_temp", "speed", "level"), "press1_state": ("running", "mode", "order"),
            "press1_status": tuple(NODES),
        }  # fmt: skip
        before = clock.now()
        put(server, "OilTemp 80", "Mode 1", "Running 0")
        run.until(lambda: rows(outlet)[-1][0] == 80 and records(outlet, "press1_state")[-1]["running"] == 0)
        after = clock.now()
        put(server, "Order other", "Mode 9")
        run.until(lambda: records(outlet, "press1_state")[-1]["mode"] == "9")
    assert [(c.name, c.unit) for c in outlet.streams["press1"].channels] == [
        ("oil_temp", "Cel"), ("speed", "1/min"), ("level", "1")
    ]  # fmt: skip
    assert rows(outlet)[0] == [72.5, 120, 3.5]
    assert rows(outlet)[-1] == [80, 120, 3.5]
    states = records(outlet, "press1_state")
    assert states[0] == {"running": 1, "mode": "running", "order": "press 7"}
    assert states[-1] == {"running": 0, "mode": "9", "order": "other"}
    assert before <= outlet.times()[-1] <= after
    assert records(outlet, "press1_status") == [dict.fromkeys(NODES, 0)]
    chunk = outlet.chunks[-1]
    assert chunk.clock is not None
    assert (chunk.clock.source, chunk.clock.uncertainty) == ("device", NS)
    assert (outlet.problems, outlet.counts) == ({}, {})


def test_bad_is_missing_uncertain_is_kept_and_both_are_told(server: Any, tmp_path: Path) -> None:
    outlet = Rehearsal("press1", tmp_path)
    nodes = {**NODES, "gone": "ns=9;s=Nowhere", "text": "nsu=urn:test:press;s=Press.Order", "far": "nsu=urn:x;i=1"}
    with Running(SOURCE, outlet, **options(server.port, nodes=nodes)) as run:
        run.until(lambda: rows(outlet))
        assert np.isnan(rows(outlet)[0][3:]).all()
        assert outlet.problems["nodes"] == (
            "3 of 9 nodes have no value: gone (ns=9;s=Nowhere): BadNodeIdUnknown, "
            "text (nsu=urn:test:press;s=Press.Order): its value is of another type than the row says, "
            "far (nsu=urn:x;i=1): the server has no namespace urn:x"
        )
        put(server, "OilTemp 80 BadSensorFailure", "Level 4 UncertainLastUsableValue", "Running 0 BadDeviceFailure")
        run.until(lambda: "running" not in records(outlet, "press1_state")[-1] and rows(outlet)[-1][2] == 4)
        assert np.isnan(rows(outlet)[-1][0])
        assert outlet.problems["nodes"].startswith(
            "5 of 9 nodes have no value: oil_temp (nsu=urn:test:press;s=Press.OilT"
        )
        put(server, "OilTemp 81", "Running 1")
        run.until(lambda: "running" in records(outlet, "press1_state")[-1] and rows(outlet)[-1][0] == 81)
    assert outlet.counts["bad_values"] == 5
    states = records(outlet, "press1_status")
    assert {s["oil_temp"] for s in states} == {0, 0x808C0000}
    assert states[-1]["level"] == 0x40900000
    assert states[-1]["oil_temp"] == 0


def test_times_never_go_back_and_an_unchanged_value_holds(server: Any, tmp_path: Path) -> None:
    outlet = Rehearsal("press1", tmp_path)
    with Running(SOURCE, outlet, **options(server.port, hold="100 ms")) as run:
        run.until(lambda: rows(outlet))
        put(server, "OilTemp 90 Good 3600")
        run.until(lambda: rows(outlet)[-1][0] == 90)
        n = len(rows(outlet))
        run.until(lambda: len(rows(outlet)) >= n + 2)
    assert outlet.counts["late_values"] == 1
    times = outlet.times()
    assert times == sorted(times)
    assert times[-1] - times[0] >= NS // 2


def test_values_are_written_as_the_type_of_the_node(server: Any, tmp_path: Path) -> None:
    outlet = Rehearsal("press1", tmp_path)
    writes = {"serial": "nsu=urn:test:press;s=Press.Serial", "label": "nsu=urn:test:press;s=Press.Order", "gone": "i=9"}
    names = ("oil_temp", "speed", "level", "running", "mode", *writes)
    more = {"actions": dict.fromkeys(names, WIDE), "writes": writes, "verify": True}
    with Running(SOURCE, outlet, **options(server.port, **more)) as run:
        with pytest.raises(EdgeloopError, match=r"other cannot be written \(press1\): it is not connected"):
            run.source.write("other", 1)
        run.until(lambda: len(outlet.chunks) >= 3)
        for target, value in (
            ("oil_temp", 0.1),
            ("speed", 99.9),
            ("level", 0.1),
            ("running", 0),
            ("mode", 1),
            ("serial", 9),
        ):
            run.source.write(target, value)
        run.until(lambda: records(outlet, "press1_state")[-1]["mode"] == "homing")
        run.until(lambda: rows(outlet)[-1] == [0.1, pytest.approx(99.9), pytest.approx(0.1)])
        assert records(outlet, "press1_state")[-1]["running"] == 0
        for target, value, why in (
            ("speed", 1e6, r"1e\+06 does not fit into speed: it is Int16"), ("running", 2, "it is 0 or 1"),
            ("serial", -1, "-1 does not fit into serial: it is UInt32"), ("label", 1, "it is String, no number"),
            ("level", 1e39, "does not fit into level: it is Float"),
            ("gone", 1, r"gone cannot be written \(i=9\): Bad"),
        ):  # fmt: skip
            with pytest.raises(EdgeloopError, match=why):
                run.source.write(target, value)


def test_a_table_may_be_a_file(server: Any, tmp_path: Path) -> None:
    outlet = Rehearsal("press1", tmp_path)
    (tmp_path / "nodes").write_text("# what the press tells\noil: nsu=urn:test:press;s=Press.OilTemp Cel *2\n")
    with Running(SOURCE, outlet, **options(server.port, nodes="", nodes_file=str(tmp_path / "nodes"))) as run:
        run.until(lambda: rows(outlet))
    assert rows(outlet)[0] == [145]


def keys(folder: Path, name: str, uri: str, use: Any) -> dict[str, str]:
    made = folder / f"{name}.der", folder / f"{name}.pem"
    asyncio.run(cert_gen.setup_self_signed_certificate(made[1], made[0], uri, "localhost", [use], {}))
    return {"certificate": str(made[0]), "key": str(made[1])}


@pytest.fixture
def secure(make_peer: Callable[..., Any], tmp_path: Path) -> tuple[Any, dict[str, str]]:
    folder = tmp_path / "peer0"
    folder.mkdir()
    keys(folder, "server", "urn:test:press", ExtendedKeyUsageOID.SERVER_AUTH)
    mine = keys(tmp_path, "client", "urn:edgeloop:test", ExtendedKeyUsageOID.CLIENT_AUTH)
    (tmp_path / "password").write_text("oil and water\n")
    (tmp_path / "password").chmod(0o600)
    user = {"user": "edgeloop", "password_file": str(tmp_path / "password")}
    return make_peer(SERVER, "{port}"), {"security": "sign_and_encrypt", **mine, **user}


def test_messages_are_signed_and_encrypted_and_the_server_is_known(
    secure: tuple[Any, dict[str, str]], tmp_path: Path
) -> None:
    server, security = secure
    pinned = {"server_certificate": str(server.folder / "server.der")}
    lines: list[str] = []
    for more in ({}, {}, pinned):
        outlet = Rehearsal("press1", tmp_path)
        with Running(SOURCE, outlet, **options(server.port, **security, **more, actions={"oil_temp": WIDE})) as run:
            run.until(lambda chunks=outlet.chunks: len(chunks) > 2)  # type: ignore[misc]
            assert rows(outlet)[0][0] == (5 if lines else 72.5)
            run.source.write("oil_temp", 5)
        lines += outlet.lines
    assert len(lines) == 1
    assert "is trusted: SHA-256" in lines[0]

    def refused(why: str, **more: str) -> None:
        with pytest.raises(EdgeloopError, match=why):
            play(SOURCE, Rehearsal("press1", tmp_path), **options(server.port, **{**security, **more}))

    refused("another certificate than `server_certificate`", server_certificate=security["certificate"])
    refused("cannot connect .*No matching endpoints", security="none", user="", password_file="")
    refused("cannot read the key", key="/nowhere.pem")
    (tmp_path / "wrong").write_text("water")
    (tmp_path / "wrong").chmod(0o644)
    refused("everybody may read the password file", password_file=str(tmp_path / "wrong"))
    (tmp_path / "wrong").chmod(0o600)
    refused("cannot connect .*: Bad(UserAccessDenied|IdentityTokenRejected)", password_file=str(tmp_path / "wrong"))
    known = unseal(outlet.state.read_bytes()).replace(lines[0].rpartition(" ")[2].encode(), b"0" * 64)
    outlet.state.write_bytes(seal(known))
    refused("the server has another certificate than before .*it was 0000")


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(EdgeloopError, match=r"cannot connect \(opc.tcp://127.0.0.1:1/press/\): .*[Cc]onnect"):
        play(SOURCE, Rehearsal("a", tmp_path), **options("1"))


def test_the_server_is_killed_and_comes_back(server: Any, plant: Any) -> None:
    source = options(server.port, hold="200 ms", actions={"mode": {"range": "0..2", "armed": "true"}})
    plant.configure(sources={"press1": source, "sim1": {"type": "simulator", "seed": "7"}})
    plant.start()

    def found(stream: str) -> list[Any]:
        return [i for i in plant.journal() if i.stream == stream]

    plant.wait(lambda: len(found("press1")) > 2)
    server.kill()
    plant.wait(lambda: "source.press1" in plant.problems())
    server.start()
    n = len(found("press1"))
    plant.wait(lambda: len(found("press1")) > n + 3 and '"source.press1"' not in plant.problems(), 60)
    plant.wait(lambda: "source.press1" not in plant.problems())
    batches = found("press1")
    assert all(isinstance(b, Batch) and b.rate is None for b in batches)
    gaps = [k for k, b in enumerate(batches) if b.discontinuity]
    assert gaps
    assert np.isnan(batches[gaps[0] - 1].samples[-1]).all()
    assert list(batches[gaps[0]].samples[0]) == [72.5, 120, 3.5]
    assert not any(b.discontinuity for b in found("sim1_vib"))
    now = clock.now()
    action = {"schema": 1, "id": "a1", "target": "mode", "value": 0, "issued": now, "armed": True}
    plant.bus.publish_document(topics.action("press1"), {**action, "expires": now + 30 * NS})
    plant.wait(lambda: [d["outcome"] for d in plant.documents(topics.ACTION_RESULTS)] == ["done"])

    def mode() -> str:
        column = found("press1_state")[-1].columns["mode"]
        return column.labels[int(column.values[-1])]  # type: ignore[no-any-return]

    plant.wait(lambda: mode() == "stopped")
    assert all(isinstance(b, RecordBatch) for b in found("press1_status"))
    assert "Traceback" not in plant.log()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"url": "press1"}, "'press1' is no address, such as opc.tcp://"),
        ({"url": "opc.tcp://:4840"}, "is no address"),
        ({"url": "opc.tcp://a:0"}, "is no address"),
        ({"url": "opc.tcp://me:secret@a"}, "the address holds a user name"),
        ({"nodes": {}}, "there are no nodes"),
        ({"nodes": {"a": "Press"}}, r"nodes\.a: 'Press' is no node"),
        ({"security": "sign"}, "signed messages need a `certificate`"),
        ({"user": "me"}, "belong together"),
        ({"user": "me", "password_file": "/x"}, "a password travels only in"),
        ({"actions": {"stop": {"range": "0..1"}}}, r"actions\.stop: no row of `writes` or `nodes`"),
        ({"actions": {"a": {"range": "0..1"}}, "nodes": {"a": "i=1 string"}}, r"actions\.a: a string"),
        ({"writes": {"stop": "i=1"}}, r"writes\.stop: `actions` does not have it"),
    ],
)
def test_a_wrong_configuration_is_refused_at_once(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        convert({"url": "opc.tcp://a", "nodes": {"a": "i=1"}, **options}, OpcUa.options, "sources.press1")
