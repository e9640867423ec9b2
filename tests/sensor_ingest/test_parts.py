from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edgeloop import clock
from edgeloop.errors import ConfigurationError
from edgeloop.sequence import Samples
from sensor_ingest.intake import Intake
from sensor_ingest.osclock import DeviceClock, quality
from sensor_ingest.sources import Registry
from sensor_ingest.sources.base import Target


def chunk(n: int) -> Samples:
    return Samples("s", np.zeros((n, 1), np.float32))


def test_a_live_source_loses_what_finds_no_room_counted() -> None:
    intake = Intake(400, live=True)
    assert [intake.put(chunk(n)) for n in (50, 50, 7, 3)] == [True] * 4
    chunks, dropped = intake.take()
    assert ([len(c.samples) for c in chunks if isinstance(c, Samples)], dropped) == ([50, 50], 10)
    assert intake.take()[1] == 0
    assert intake.put(chunk(1000))
    assert intake.take()[1] == 0


def test_another_source_waits_for_room_and_for_no_longer_than_it_lives() -> None:
    intake = Intake(400, live=False)
    assert intake.put(chunk(100))
    results: list[bool] = []
    waiting = threading.Thread(target=lambda: results.extend(intake.put(chunk(60)) for _ in range(3)))
    waiting.start()
    taken = 0
    while taken < 160:
        taken += sum(len(c.samples) for c in intake.take()[0] if isinstance(c, Samples))
    intake.put(chunk(100)) if taken == 280 else None
    intake.close()
    waiting.join(60)
    assert not waiting.is_alive()
    assert results[0] is True
    assert intake.put(chunk(1)) is False


def test_the_kernel_is_asked_how_the_clock_is_kept() -> None:
    found = quality()
    assert found.source in ("ntp", "free")
    assert found.uncertainty >= 0
    assert 0 <= found.synced_at <= clock.now()
    assert DeviceClock().value.source == found.source


def test_a_type_that_cannot_be_imported_hurts_only_those_who_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "some_sources"
    for name, body in (("good", "from sensor_ingest.sources.base import Source\nSOURCE = Source"),
                       ("needy", "import a_library_that_is_not_there"), ("empty", "")):  # fmt: skip
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(body)
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    failures: list[str] = []
    registry = Registry(failures.append, "some_sources")
    assert registry.names == ("good",)
    assert len(failures) == 2
    assert registry.get("good", "sources.a.type").__name__ == "Source"
    with pytest.raises(ConfigurationError, match=r"sources\.a\.type.*a_library_that_is_not_there"):
        registry.get("needy", "sources.a.type")
    with pytest.raises(ConfigurationError, match=r"missing value \(sources\.a\.type\); one of: good"):
        registry.get(None, "sources.a.type")
    for module in [m for m in sys.modules if m.startswith("some_sources")]:
        del sys.modules[module]


def test_the_types_that_are_there() -> None:
    failures: list[str] = []
    names = Registry(failures.append).names
    assert {"modbus", "opcua", "process", "replay", "simulator"} <= set(names)
    assert failures == []


@pytest.mark.parametrize(("text", "bounds"), [("0..1", (0, 1)), (" -2.5 .. 1e3 ", (-2.5, 1000))])
def test_a_range_is_two_numbers(text: str, bounds: tuple[float, float]) -> None:
    assert Target(range=text).bounds == bounds


@pytest.mark.parametrize("text", ["", "1", "1..", "1..0", "a..b", "1..2..3", "nan..1"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no range|could not convert"):
        Target(range=text)
