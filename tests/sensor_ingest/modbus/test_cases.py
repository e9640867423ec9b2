"""The field's devices that misbehave, as the cases describe them: from EDGELOOP_CASES, or the few beside this file."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError
from edgeloop.sequence import Samples
from sensor_ingest.rehearsal import Rehearsal, Running
from sensor_ingest.sources.modbus import SOURCE
from sensor_ingest.sources.modbus.tags import parse

from .misbehaving import Device, Manner, Serial, Tcp

CASES = Path(os.environ.get("EDGELOOP_CASES") or Path(__file__).parent / "cases")


def case(number: str) -> dict[str, Any]:
    path = next(iter(sorted(CASES.glob(f"{number}_*.yaml"))), None)
    if path is None:
        pytest.skip(f"no case {number}")
    found: dict[str, Any] = {}
    for line in path.read_text().splitlines():
        key, _, text = line.partition(":")
        found[key] = yaml.safe_load(text) if key in ("source", "rows") else text.strip()
    return found


def number(text: str, pattern: str) -> float:
    match = re.search(pattern, text)
    assert match is not None, (pattern, text)
    return float(match[1])


@pytest.fixture
def devices() -> Iterator[list[Device]]:
    made: list[Device] = []
    yield made
    for one in made:
        one.close()


def source(said: dict[str, Any], device: Tcp | Serial, **more: Any) -> dict[str, Any]:
    options = {key: value for key, value in said.items() if key != "type"} | {"url": device.url} | more
    if isinstance(options["tags"], str):
        options["tags"] = {f"t{i}": f"hr {i}" for i in range(100)}
    return {"type": "modbus", **options}


def rows(outlet: Rehearsal) -> list[list[float]]:
    return [row.tolist() for c in list(outlet.chunks) if isinstance(c, Samples) for row in c.samples]


def test_m01_a_late_answer_is_never_another_registers_value(tmp_path: Path, devices: list[Device]) -> None:
    said = case("m01")
    peer = said["peer"]
    manner = Manner(late=number(peer, r"(\d+) % of them") / 100, lateness=number(peer, r"come (\d+) ms") / 1000)
    device = Serial(manner)
    devices.append(device)
    outlet = Rehearsal("a", tmp_path)
    options = source(said["source"], device, timeout="60 ms", poll="20 ms")
    manner.lateness *= 0.2
    with Running(SOURCE, outlet, **options) as run:
        run.until(lambda: len(outlet.chunks) >= 120, 60)
    wanted = [int(re.findall(r"\d+", row)[0]) for row in said["source"]["tags"].values()]
    found = np.array(rows(outlet))
    assert (np.isnan(found) | (found == wanted)).all()
    assert outlet.counts["late_answers"] > 3
    assert np.isfinite(found).mean() > 0.5


@pytest.mark.parametrize(
    "row", ["hr 10 FLOAT32", "hr 10 UINT32", "hr 10 bcd16", "hr 10 u32", "hr 10 REAL", "hr 10 dword CDAB",
            "hr 10 FLOAT32_CDAB", "hr 10 float32-badc"]
)
def test_m02_usual_names_of_types_and_orders_are_known(row: str) -> None:
    assert parse("a", row).unit == "1"


@pytest.mark.parametrize(("unit", "stored"), [("degC", "Cel"), ("°C", "Cel"), ("rpm", "{rev}/min"), ("kn", "[kn_i]")])
def test_m02_units_are_what_people_write(unit: str, stored: str) -> None:
    assert parse("a", f"hr 10 int16 {unit} *0.1").unit == stored


def read(row: str) -> str:
    try:
        tag = parse("a", row)
    except ValueError as error:
        return str(error)
    return f"{tag.kind} in {tag.unit}"


def test_m02_rows_are_understood_or_refused() -> None:
    for row in case("m02")["rows"]:
        assert re.search(r"no word order|no type|no order|(float|int32|bcd)\S* in 1$", read(row)), row


@pytest.mark.parametrize(
    "row", ["hr 10 FLOTA32", "hr 10 int", "hr 10 long", "hr 10 DBCA", "hr 10 3412", "hr 10 foo", "hr 10 uint24",
            "hr 10 INT32U", "hr 10 uint16_t", "hr 10 bit3", "hr 10 u", "hr 10 uint32le", "hr 10 int16 0.1"]
)
def test_m02_what_is_no_type_order_or_unit_is_refused(row: str) -> None:
    with pytest.raises(ValueError, match="is no (type|order|unit)"):
        parse("a", row)


def test_m03_a_connection_closed_while_idle_is_opened_before_the_request(tmp_path: Path, devices: list[Device]) -> None:
    said = case("m03")
    idle = number(said["peer"], r"idle for (\d+) s")
    device = Tcp(Manner(idle=0.1 * idle))
    devices.append(device)
    outlet = Rehearsal("a", tmp_path)
    with Running(SOURCE, outlet, **source(said["source"], device, poll="300 ms")) as run:
        run.until(lambda: len(outlet.chunks) >= 6)
    assert np.isfinite(rows(outlet)).all()
    assert device.connections >= 5
    assert outlet.counts["reconnections"] >= 4
    assert np.diff(outlet.times()).max() < 2e9


def test_m04_a_device_that_is_away_does_not_cost_the_others_their_rate(tmp_path: Path, devices: list[Device]) -> None:
    said = case("m04")
    device = Tcp(Manner(away=2, code=int(re.findall(r"0x([0-9A-F]+)", said["peer"])[0], 16), delay=0.4))
    devices.append(device)
    outlet = Rehearsal("a", tmp_path)
    with Running(SOURCE, outlet, **source(said["source"], device, poll="50 ms")) as run:
        run.until(lambda: len(outlet.chunks) >= 60)
    found = np.array(rows(outlet))
    assert (found[:, 0] == 10).all()
    assert np.isnan(found[:, 1]).all()
    assert sum(unit == 2 for unit, _, _ in device.asked) <= 4


@pytest.mark.parametrize("refusal", [1, 2, 3, 4])
def test_m05_the_size_that_a_device_takes_is_learned_and_kept(
    tmp_path: Path, devices: list[Device], refusal: int
) -> None:
    said = case("m05")
    most = int(number(said["peer"], r"up to (\d+) registers"))
    device = Tcp(Manner(most=most, refusal=refusal))
    devices.append(device)
    outlet = Rehearsal("a", tmp_path)
    options = source(said["source"], device, poll="20 ms")
    with Running(SOURCE, outlet, **options) as run:
        run.until(lambda: len(outlet.chunks) >= 5)
    assert rows(outlet)[-1] == list(range(100))
    assert all(count <= most for _, _, count in device.asked[-2:])
    assert len(device.asked) <= 5 * -(-100 // most) + 6
    before = len(device.asked)
    again = Rehearsal("a", tmp_path)
    with Running(SOURCE, again, **options) as run:
        run.until(lambda: len(again.chunks) >= 1)
    assert all(count <= most for _, _, count in device.asked[before:])


def test_m06_a_hole_costs_nothing_beside_it(tmp_path: Path, devices: list[Device]) -> None:
    said = case("m06")
    low, high = map(int, re.findall(r"(\d+)\.\.(\d+)", said["peer"])[0])
    device = Tcp(Manner(hole=(low, high), refusal=int(number(said["peer"], r"exception (\d+)"))))
    devices.append(device)
    outlet = Rehearsal("a", tmp_path)
    with Running(SOURCE, outlet, **source(said["source"], device, poll="20 ms")) as run:
        run.until(lambda: len(outlet.chunks) >= 3)
    assert rows(outlet)[-1] == [float(re.findall(r"\d+", row)[0]) for row in said["source"]["tags"].values()]


def test_m07_unit_255_is_for_tcp() -> None:
    convert({"url": "tcp://plc", "unit": 255, "tags": {"a": "hr 10 @255"}}, SOURCE.options, "a")
    with pytest.raises(ConfigurationError, match="serial line"):
        convert({"url": "rtu:///dev/ttyUSB0", "tags": {"a": "hr 10 @255"}}, SOURCE.options, "a")


def test_m08_a_value_that_means_none_is_missing_and_counted(tmp_path: Path, devices: list[Device]) -> None:
    words = {0: 0x8000, 2: 0xFFFF, 3: 0x8000, 4: 0, 7: 0xFFFF, 8: 0xFFFF, 9: 215}
    device = Tcp(Manner(words=words))
    devices.append(device)
    outlet = Rehearsal("a", tmp_path)
    tags = {"t": "hr 0 int16 Cel *0.1 none=0x8000", "u": "hr 2 uint16 V *0.1 none=65535",
            "i": "hr 3 int32 none=-2147483648", "e": "hr 7 uint32 none=0xFFFFFFFF",
            "ok": "hr 9 int16 Cel *0.1 none=0x8000,0x7FFF"}  # fmt: skip
    with Running(SOURCE, outlet, **source({"tags": tags, "poll": "50 ms"}, device)) as run:
        run.until(lambda: len(outlet.chunks) >= 2)
    np.testing.assert_array_equal(rows(outlet)[0], [np.nan] * 4 + [21.5])
    assert outlet.counts["no_values"] >= 4


def test_m09_a_device_that_needs_time_after_connecting_is_asked_again(tmp_path: Path, devices: list[Device]) -> None:
    said = case("m09")
    deaf = number(said["peer"], r"first (\d+) s") / 3
    device = Tcp(Manner(deaf=deaf))
    devices.append(device)
    outlet = Rehearsal("a", tmp_path)
    began = time.monotonic()
    with Running(SOURCE, outlet, **source(said["source"], device, timeout="300 ms")) as run:
        run.until(lambda: "settle" in outlet.problems.get("silence", ""))
        run.until(lambda: any(np.isfinite(rows(outlet)).ravel()))
        run.until(lambda: "silence" not in outlet.problems)
    assert device.connections == 1
    assert time.monotonic() - began < 10


def test_a_pause_after_connecting_can_be_set(tmp_path: Path, devices: list[Device]) -> None:
    device = Tcp(Manner(deaf=0.5))
    devices.append(device)
    outlet = Rehearsal("a", tmp_path)
    with Running(SOURCE, outlet, **source({"tags": {"a": "hr 10"}, "settle": "600 ms"}, device)) as run:
        run.until(lambda: len(outlet.chunks) >= 1)
    assert rows(outlet)[0] == [10]
    assert outlet.problems == {}


def test_parts_of_registers(tmp_path: Path, devices: list[Device]) -> None:
    device = Tcp(Manner(words={0: 0x12FE, 1: 0x0001, 2: 0x2345, 3: 0xFFFF, 4: 0xFFFF, 5: 0xFFFE, 6: 0x3E00}))
    devices.append(device)
    tags = {"bcd": "hr 0.hi uint8", "low": "hr 0.lo int8", "big": "hr 1 bcd32", "six": "hr 3 int48",
            "half": "hr 6 float16", "bits": "hr 0.4-7"}  # fmt: skip
    outlet = Rehearsal("a", tmp_path)
    with Running(SOURCE, outlet, **source({"tags": tags}, device)) as run:
        run.until(lambda: len(outlet.chunks) >= 1)
    assert rows(outlet)[0] == [0x12, -2, 12345, -2, 1.5, 15]
