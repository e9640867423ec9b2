from __future__ import annotations

import copy
import re
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.config.quantities import Budget, Duration, Rate, Size, pattern_of

WEEK = 604_800 * 10**9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50 ms", 50_000_000),
        ("50ms", 50_000_000),
        (" 1.5 s ", 1_500_000_000),
        ("2", 2_000_000_000),
        (2, 2_000_000_000),
        (0.05, 50_000_000),
        ("1e-3 s", 1_000_000),
        ("3 minutes", 180_000_000_000),
        ("1 h", 3_600_000_000_000),
        ("1/3 s", 333_333_333),
        ("10 µs", 10_000),
        ("1 week", WEEK),
        ("0", 0),
    ],
)
def test_durations(text: str | float, expected: int) -> None:
    assert Duration(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "ms", "5 parsec", "-1 s", "nan", float("nan"), float("inf"), True, None, [], "1e999 s", "1/0 s", "x" * 99],
)
def test_what_is_no_duration_is_refused_with_a_reason(text: object) -> None:
    with pytest.raises(ValueError, match=r"duration|out of range"):
        Duration(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("25.6 kHz", Fraction(25600)),
        ("10/3 Hz", Fraction(10, 3)),
        ("25600", Fraction(25600)),
        (25600.0, Fraction(25600)),
        (0.1, Fraction(1, 10)),
        ("1 MHz", Fraction(10**6)),
        ("48 khz", Fraction(48000)),
        ("2/min", Fraction(1, 30)),
        ("3 per second", Fraction(3)),
        ("12 samples/s", Fraction(12)),
    ],
)
def test_rates_are_exact(text: str | float, expected: Fraction) -> None:
    assert Rate(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 GiB", 2**31),
        ("16MiB", 2**24),
        ("1 kB", 1000),
        ("4096", 4096),
        (4096, 4096),
        ("0.5 KiB", 512),
        ("1.5 GB", 15 * 10**8),
    ],
)
def test_sizes(text: str | int, expected: int) -> None:
    assert Size(text) == expected


def test_a_fraction_of_a_byte_is_no_size() -> None:
    with pytest.raises(ValueError, match="whole number of bytes"):
        Size("0.3 B")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 alarm/week", WEEK),
        ("1/week", WEEK),
        ("2 alarms per day", 43_200 * 10**9),
        ("1 false alarm per week", WEEK),
        ("7 days", WEEK),
        (604800, WEEK),
        ("604800", WEEK),
        ("0.5 alarm/week", 2 * WEEK),
        ("1 alarm per month", 30 * 86_400 * 10**9),
    ],
)
def test_budgets_are_return_times(text: str | int, expected: int) -> None:
    assert Budget(text) == expected


@pytest.mark.parametrize("text", ["0 alarms/week", "1 alarm/parsec", "0", "many"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"budget|out of range"):
        Budget(text)


def test_quantities_format_as_they_print() -> None:
    values = Rate("25.6 kHz"), Duration("50 ms"), Size("2 GiB"), Budget("1/week")
    assert [f"{value}" for value in values] == ["25.6 kHz", "50 ms", "2 GiB", "1 alarm/week"]
    assert f"{Rate('25.6 kHz'):.1f} {Duration('50 ms'):d}" == "25600.0 50000000"


@given(st.integers(0, 1000 * 31_536_000 * 10**9))
def test_a_duration_reads_what_it_prints(span: int) -> None:
    duration = Duration.of(span)
    assert Duration(str(duration)) == span
    assert copy.deepcopy(duration) == duration


@given(st.integers(0, 2**63 - 1))
def test_a_size_reads_what_it_prints(size: int) -> None:
    assert Size(str(Size(size))) == size


@given(st.fractions(0, 10**9, max_denominator=10**9))
def test_a_rate_reads_what_it_prints(rate: Fraction) -> None:
    assert Rate(str(Rate(rate))) == rate
    assert copy.deepcopy(Rate(rate)) == rate


@given(st.integers(1, 1000 * 31_536_000 * 10**9))
def test_a_budget_reads_what_it_prints(span: int) -> None:
    assert Budget(str(Budget.of(span))) == span


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for quantity in (Duration, Rate, Size, Budget):
        with suppress(ValueError):
            assert quantity(text) >= 0


@pytest.mark.parametrize(
    ("quantity", "texts"),
    [
        (Duration, ["50 ms", "1.5s", "2", ".5 H", "1_000 µs", "90 min", "1e-3 s", "3 days", "5 Weeks"]),
        (Rate, ["25.6 kHz", "10/3 Hz", "2/min", "60 samples per hour", "48000", "1 mhz"]),
        (Size, ["16 MiB", "4096", "1 MB", "2 gib"]),
        (Budget, ["1 alarm/week", "2 alarms per day", "30 d", "1 false alarm per a month", "3 / year"]),
    ],
)
def test_the_pattern_takes_what_is_read(quantity: type, texts: list[str]) -> None:
    for text in texts:
        quantity(text)
        assert re.search(pattern_of(quantity), text), text
    for wrong in ("", "x", "1 parsec", "1 ms x", "ms"):
        with pytest.raises(ValueError, match="is no|unknown unit"):
            quantity(wrong)
        assert not re.search(pattern_of(quantity), wrong), wrong
