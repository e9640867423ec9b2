"""Every number with a unit that a page shows is found again in the journal, the alarms, the health or the machine."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeloop.alarms.journal import read
from edgeloop.clock import NS
from edgeloop.journal import JournalReader, directory, since
from edgeloop.wire.batch import Batch

TOKEN = re.compile(
    r"(?<![\w.,:-])(-?\d[\d,]*(?:\.\d+)?(?:E-?\d+)?)\s?"
    r"(samples a second|cores|°C|bar|kHz|Hz|m/s²|mm/s²|mm/s|rpm|kW|%|ms|GiB|MiB|KiB|MB|kB|dB|min|A|V|B|h|d|s)(?![\w/²])"
)
AGES = {"s": 1, "min": 60, "h": 3600, "d": 86400}
CHOICES = {"30 min", "1 h", "8 h", "2 d", "7 d"}
LINE = 2048


def shown(page: Any, line: Any, path: str) -> list[tuple[float, str, str]]:
    """(value, unit, as it stands) of what the page's main part says, lists to choose from left out."""
    arrive(page, line, path)
    said: str = page.get_by_role("main").inner_text()
    return [(float(m[1].replace(",", "")), m[2], f"{m[1]} {m[2]}") for m in TOKEN.finditer(said)]


def arrive(page: Any, line: Any, path: str) -> None:
    """The heading of the page before stands until the new one is there."""
    name, _, rest = path.partition("/")
    titles = {"now": "The line now", "signals": f"Signals: {rest}", "alarms": "Around the alarm" if rest else "Alarms"}
    page.goto(f"{line.url}/#/{path}")
    title = titles.get(name.partition("?")[0], name.title())
    page.get_by_role("main").get_by_role("heading", name=title, exact=True).wait_for()


def an_age(value: float, unit: str, since_ns: list[float]) -> bool:
    now = time.time()
    ages = [(now - at / NS) / AGES[unit] for at in since_ns] if unit in AGES else []
    return any(value - 1 <= age <= value + 1 + 20 / AGES[unit] for age in ages)


def journalled(line: Any, stream: str, seconds: float) -> list[Batch]:
    folder = directory(line.root)
    begin = time.time_ns() - int(seconds * NS)
    reader = JournalReader(folder, since(folder, begin))
    try:
        items = [item for item, _ in reader.read() if isinstance(item, Batch) and item.stream == stream]
    finally:
        reader.close()
    return [item for item in items if item.time >= begin]


@pytest.fixture
def page(browser: Any, line: Any) -> Iterator[Any]:
    context = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 860})
    opened = context.new_page()
    opened.goto(line.url)
    opened.get_by_label("Name").fill("emil")
    opened.get_by_label("Password").fill("engineer-1")
    opened.get_by_role("button").click()
    opened.get_by_role("heading", name="The line now").wait_for()
    yield opened
    context.close()


def test_alarms_and_the_line_at_a_glance(page: Any, line: Any) -> None:
    alarms = list(read(line.work("anomaly_inference") / "alarms.jsonl"))
    id = alarms[-1].id
    for path in ("now", "alarms?show=all", f"alarms/{id}"):
        found = shown(page, line, path)
        kept = list(read(line.work("anomaly_inference") / "alarms.jsonl"))
        words = "\n".join([a.text for a in kept] + [c.band for a in kept for c in a.cause.attribution])
        times = [a.raised_at for a in kept] + [p["since"] for h in line.healths.values() for p in h["problems"]]
        words += "\n".join(p["line"] for h in line.healths.values() for p in h["problems"])
        learned = [round(100 * one.get("learned", 1.0)) for one in line.monitors.values()]
        for value, unit, text in found:
            known = text in words or an_age(value, unit, times) or (unit == "%" and value in learned)
            assert known or text in CHOICES, (path, text)
        assert found, path


def test_signals(page: Any, line: Any) -> None:
    for stream in ("press1_slow", "press1_vib"):
        arrive(page, line, f"signals/{stream}")
        page.get_by_role("main").get_by_text(re.compile(": now")).first.wait_for()
        if stream.endswith("vib"):
            page.get_by_role("img", name=re.compile("the newest at the bottom")).wait_for(timeout=60_000)
        found = shown(page, line, f"signals/{stream}")
        batches = journalled(line, stream, 90)
        units = {c.unit: n for n, c in enumerate(batches[0].channels)}
        rows = np.concatenate([np.asarray(b.values(), dtype=np.float64) for b in batches])
        printed = {"Cel": "°C", "m/s2": "m/s²", "{rev}/min": "rpm", "mm/s2": "mm/s²"}
        names = " ".join([*(c.name for c in batches[0].channels), *line_s_words(line)])
        rate = float(batches[0].rate or 0)
        loudest = strongest(rows, rate) if rate > 1000 else set()
        for value, unit, text in found:
            columns = [n for code, n in units.items() if printed.get(code, code) == unit]
            known = text in names or any(np.isclose(rows, value, rtol=1e-4, atol=1e-9).any() for _ in columns)
            if unit == "samples a second":
                known = value == pytest.approx(rate, rel=1e-3)
            elif rate > 1000 and unit == "Hz":
                known = value == rate / 2 or any(abs(value - one) <= 1.5 * rate / LINE for one in loudest)
            elif rate > 1000 and unit == "s":
                known = 0 < value <= 120 * LINE / rate + 1.1
            elif rate > 1000 and not known:
                known = 0 < value <= np.abs(rows).max() * 1.01
            assert known, (stream, text)
        assert len(found) >= 2, found


def line_s_words(line: Any) -> list[str]:
    """Of alarms, which any page announces."""
    return [alarm.text for alarm in read(line.work("anomaly_inference") / "alarms.jsonl")]


def strongest(rows: Any, rate: float) -> set[float]:
    """The loudest frequency of each piece of each channel, in Hz."""
    pieces = rows[: len(rows) // LINE * LINE].reshape(-1, LINE, rows.shape[1])
    levels = np.abs(np.fft.rfft((pieces - pieces.mean(axis=1, keepdims=True)) * np.hanning(LINE)[:, None], axis=1))
    return {float(1 + n) * rate / LINE for n in levels[:, 1:].argmax(axis=1).ravel()}


def test_parts_models_and_settings(page: Any, line: Any) -> None:
    arrive(page, line, "parts")
    page.get_by_text(re.compile("judged in")).first.wait_for(timeout=60_000)
    found = shown(page, line, "parts")
    page.wait_for_timeout(500)
    took = [one["latency_ms"] for one in line.parts]
    times = [one["time"] for one in line.parts]
    for value, unit, text in found:
        if unit == "ms":
            assert any(value == pytest.approx(one, rel=1e-3, abs=1e-3) for one in took), text
        else:
            assert an_age(value, unit, times), text
    assert found
    assert shown(page, line, "models") == []

    files = (line.root / "work").glob("*/configuration.json")
    remembered = "".join(path.read_text() for path in files).replace(" ", "")
    arrive(page, line, "settings")
    for summary in page.locator("summary").all():
        summary.click()
    for _, _unit, text in shown(page, line, "settings"):
        assert text.replace(" ", "") in remembered, text
    page.get_by_role("button", name="Try").click()
    page.get_by_text(re.compile("that were watched")).first.wait_for()
    effect = page.get_by_role("status").filter(has_text="watched").inner_text()
    hours = {float(h.replace(",", "")) for h in re.findall(r"in the ([\d.,]+) h that", effect)}
    minutes = len(line.watched)
    assert len(hours) == 1
    assert hours.pop() * 60 == pytest.approx(minutes, abs=2.1)


def test_the_system(page: Any, line: Any) -> None:
    def machine() -> list[float]:
        memory = dict(re.findall(r"(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text()))
        disk = shutil.disk_usage(line.root)
        return [disk.total, disk.free, int(memory["MemTotal"]) * 1024, int(memory["MemAvailable"]) * 1024]

    before = machine()
    found = shown(page, line, "system")
    after = machine()
    began = [started(process.pid) for process in line.processes.values()]
    history = sum(p.stat().st_size for p in (line.work("console") / "signals").rglob("*.bins"))
    sizes = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}
    times = [p["since"] for h in line.healths.values() for p in h["problems"]] + began
    for value, unit, text in found:
        if unit in sizes:
            bytes = value * sizes[unit]
            near = any(min(a, b) - 2**30 <= bytes <= max(a, b) + 2**30 for a, b in zip(before, after, strict=True))
            assert near or bytes <= history * 1.05, text
        elif unit == "cores":
            assert value == os.cpu_count()
        else:
            assert an_age(value, unit, times), text
    rows = {row.split()[0]: row for row in page.locator("tbody tr").all_inner_texts()}
    for package, process in line.processes.items():
        name = line.work(package).name.rpartition(".")[2]
        cells = page.get_by_role("row").filter(has_text=name).get_by_role("cell").all_inner_texts()
        ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        spent = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        assert float(cells[2].replace(",", "")) == pytest.approx(spent, rel=0.5, abs=15), (name, rows)
    assert {unit for _, unit, _ in found} >= {"GiB", "cores"}


def started(pid: int) -> float:
    """ns since 1970."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    boot = int(re.search(r"btime (\d+)", Path("/proc/stat").read_text())[1])  # type: ignore[index]
    return (boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")) * NS
