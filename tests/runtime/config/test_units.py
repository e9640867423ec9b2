from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.config import ucum, units

WRITTEN = {
    "degC": "Cel", "°C": "Cel", "deg C": "Cel", "rpm": "{rev}/min", "U/min": "{rev}/min", "perc": "%", "%RH": "%",
    "m/s²": "m/s2", "m/s^2": "m/s2", "m³/h": "m3/h", "kWh": "kW.h", "Nm": "N.m", "µm": "um", "µS/cm": "uS/cm",
    "psi": "[psi]",
    "Bar": "bar", "mBar": "mbar", "°F": "[degF]", "l/min": "l/min", "sec": "s", "V": "V", "1": "1", "g": "g",
    "hPa": "hPa",
}  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN)
def test_what_people_write_is_stored_as_ucum(text: str) -> None:
    assert units.unit(text) == WRITTEN[text]
    assert units.is_ucum(units.unit(text))


@pytest.mark.parametrize(
    "text", ["FLOAT32", "UINT32", "bcd16", "CDAB", "u32", "foo", "m//s", "mm/", "C", "F", "é", "x" * 80]
)
def test_what_is_no_unit_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="no unit|two units") as caught:
        units.unit(text)
    assert "\n" not in str(caught.value)


def test_a_near_miss_is_answered_with_what_is_meant() -> None:
    with pytest.raises(ValueError, match="is Cel meant"):
        units.unit("celsiuss")
    with pytest.raises(ValueError, match="write Cel for °C"):
        units.unit("C")


@pytest.mark.parametrize("alias", [*units.ALIASES.values()])
def test_every_alias_is_a_unit(alias: str) -> None:
    assert alias == "1" or units.is_ucum(alias)


def test_units_are_shown_as_people_read_them() -> None:
    assert [units.shown(u) for u in ("Cel", "{rev}/min", "um", "mm/s2", "1", "[degF]")] == [
        "°C",
        "rpm",
        "µm",
        "mm/s²",
        "",
        "°F",
    ]


@given(st.text(max_size=50))
def test_any_text_is_a_unit_or_none(text: str) -> None:
    found = units.meant(text)
    assert found is None or found == "1" or units.is_ucum(found)


def test_the_table_and_the_grammar_are_those_of_the_standard() -> None:
    from edgeloop_tools.build.ucum import table

    there = importlib.util.find_spec("ucumvert")
    if there is None or there.origin is None:
        pytest.skip("ucumvert is not installed")
    vendor = Path(there.origin).parent / "vendor"
    assert Path(ucum.__file__).read_text() == table(vendor / "ucum-essence.xml")
    rows = (vendor / "ucum_examples.tsv").read_text().splitlines()[1:]
    codes = [row.split("\t")[1] for row in rows if row.count("\t")]
    strange = [code for code in codes if len(code) <= units.LONGEST and not units.is_ucum(code)]
    assert len(codes) > 800
    assert set(strange) <= {"Torr"}
