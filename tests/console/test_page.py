"""The page in Chromium, against a line whose bearing breaks."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeloop.alarms.journal import read

WORST = ("critical", "high", "medium", "low")


@pytest.fixture
def page(browser: Any, line: Any) -> Iterator[Any]:
    """Logged in as otto, an operator; anything that the page's scripts fail at fails the test."""
    context = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 860})
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    opened.asked = []
    opened.on("request", lambda request: opened.asked.append(request.url))
    log_in(opened, line, "otto", "operator-word-1")
    yield opened
    context.close()
    assert errors == []


def log_in(page: Any, line: Any, name: str, password: str) -> None:
    page.goto(line.url)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button").click()
    page.get_by_role("heading", name="The line now").wait_for()


def worst(page: Any) -> Any:
    """The first link whose visible words hold the worst state that is to be seen."""
    for word in WORST:
        links = page.get_by_role("main").get_by_role("link").filter(has_text=word)
        if links.count():
            return links.first
    rows = page.get_by_role("row").filter(has_text=re.compile("|".join(WORST)))
    return rows.first.get_by_role("link").first


def test_the_broken_bearing_is_found_in_three_clicks(page: Any) -> None:
    page.get_by_text(re.compile("medium|high|critical")).first.wait_for(timeout=60_000)
    worst(page).click()
    page.get_by_role("heading", name="Alarms").wait_for()
    rows = page.get_by_role("row").filter(has_text=re.compile("|".join(WORST)))
    rows.first.get_by_role("link").first.click()
    page.get_by_role("heading", name="Around the alarm").wait_for()
    said = page.get_by_role("main").inner_text()
    assert "kHz" in said
    assert re.search(r"times its normal", said)
    assert "What to check" in said
    page.locator("canvas").first.wait_for()


def test_an_alarm_is_acknowledged_with_the_network_away(page: Any, line: Any) -> None:
    """There is no way out of this browser and no IoT Core: the answer goes over the local bus alone."""
    page.get_by_role("link", name=re.compile("open alarm")).click()
    page.get_by_role("row").nth(1).get_by_role("link").first.click()
    page.get_by_label("Reason").select_option("maintenance")
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_text("Acknowledged as “maintenance” by otto.").wait_for()
    id = page.url.rpartition("/")[2]
    alarm = line.ask(f"/api/v1/alarms/{id}", token=line.token).json
    assert (alarm["reason"], alarm["by"]) == ("maintenance", "otto")
    labels = (line.work("anomaly_inference") / "upload").glob("*-labels.jsonl")
    assert any(b'"otto"' in path.read_bytes() for path in labels)
    assert {url.split("/")[2] for url in page.asked} == {line.url.removeprefix("http://")}


def test_a_viewer_sees_and_cannot_answer(browser: Any, line: Any) -> None:
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    log_in(page, line, "vera", "viewer-word-1")
    id = line.ask("/api/v1/alarms", token=line.token).json[0]["id"]
    page.goto(f"{line.url}/#/alarms/{id}")
    page.get_by_role("heading", name="Around the alarm").wait_for()
    assert page.get_by_role("button", name="Acknowledge").count() == 0
    context.close()


def test_numbers_with_units_are_those_of_the_journal(page: Any, line: Any) -> None:
    page.goto(f"{line.url}/#/signals/press1_slow")
    page.get_by_text("°C").first.wait_for()
    text = page.get_by_text(re.compile(r"temperature: now")).inner_text()
    shown = float(re.search(r"now ([\d.,-]+) °C", text)[1].replace(",", ""))  # type: ignore[index]
    now = time.time() * 1000
    path = f"/api/v1/streams/press1_slow/points?from={now - 60_000:.0f}&to={now + 5_000:.0f}&raw=1&points=4000"
    points = line.ask(path, token=line.token).json
    values = points["mean"][points["channels"].index("temperature")]
    assert min(abs(value - shown) for value in values) <= abs(shown) * 1e-4


def test_an_alarm_s_numbers_are_those_of_its_owner(page: Any, line: Any) -> None:
    kept = {alarm.id: alarm for alarm in read(line.work("anomaly_inference") / "alarms.jsonl")}
    id = next(id for id, alarm in kept.items() if alarm.cause.attribution)
    page.goto(f"{line.url}/#/alarms/{id}")
    page.get_by_role("heading", name="Around the alarm").wait_for()
    said = [text for text in page.locator("dd li").all_inner_texts() if "normal" in text]
    assert len(said) == len(kept[id].cause.attribution)
    for text, one in zip(said, kept[id].cause.attribution, strict=True):
        shown = re.search(r": ([\d.,]+|[\d.]+E-?\d+) (times its|spreads from) normal", text)
        assert shown is not None, text
        meant = one.ratio if shown[2] == "times its" else one.z
        assert float(shown[1].replace(",", "")) == pytest.approx(meant, rel=1e-4)
        assert one.channel in text


def test_the_system_s_numbers_are_those_of_the_machine(page: Any, line: Any) -> None:
    page.goto(f"{line.url}/#/system")
    page.get_by_role("row").filter(has_text="SensorIngest").wait_for()
    cells = page.get_by_role("row").filter(has_text="SensorIngest").get_by_role("cell").all_inner_texts()
    resident = int(Path(f"/proc/{line.processes['sensor_ingest'].pid}/statm").read_text().split()[1])
    assert float(cells[1].replace(",", "")) == pytest.approx(resident * os.sysconf("SC_PAGE_SIZE") / 1e6, rel=0.3)
    facts = page.get_by_role("main").locator("dl").inner_text()
    total, free = shutil.disk_usage(line.root).total / 2**30, shutil.disk_usage(line.root).free / 2**30
    disk = re.search(r"([\d.,]+) GiB / ([\d.,]+) GiB", facts)
    assert disk is not None
    assert float(disk[2].replace(",", "")) == pytest.approx(total, abs=0.06)
    assert float(disk[1].replace(",", "")) == pytest.approx(free, abs=max(1.0, 0.05 * total))
    assert f"{os.cpu_count()} cores" in facts


def test_the_gate_s_counts_are_those_of_its_verdicts(page: Any, line: Any) -> None:
    before = line.ask("/api/v1/parts", token=line.token).json["counts"]["gate"]
    page.goto(f"{line.url}/#/now")
    text = page.get_by_text(re.compile(r"[\d,]+ good, [\d,]+ bad, [\d,]+ unknown")).first.inner_text()
    counted = re.search(r"([\d,]+) good, ([\d,]+) bad, ([\d,]+) unknown", text)
    assert counted is not None
    shown = [int(number.replace(",", "")) for number in counted.groups()]
    after = line.ask("/api/v1/parts", token=line.token).json["counts"]["gate"]
    for count, name in zip(shown, ("pass", "fail", "unknown"), strict=True):
        assert before.get(name, 0) <= count <= after.get(name, 0), name


def test_the_waterfall_says_where_it_is_loudest(page: Any, line: Any) -> None:
    page.goto(f"{line.url}/#/signals/press1_vib")
    drawn = page.get_by_role("img", name=re.compile("the newest at the bottom"))
    drawn.wait_for(timeout=60_000)
    shown = re.search(r"strongest at ([\d.,]+) Hz", drawn.get_attribute("aria-label"))
    assert shown is not None
    assert 0 < float(shown[1].replace(",", "")) <= 12_800
    assert drawn.evaluate("c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size") > 20


def test_scores_stand_beneath_the_signal_with_the_budget_s_line(page: Any, line: Any) -> None:
    line.wait(lambda: line.ask("/api/v1/monitors/press1_bearing/return_times", token=line.token).json["times"], 60)
    page.goto(f"{line.url}/#/signals/press1_vib")
    figure = page.get_by_role("img", name=re.compile("press1_bearing: how rare each minute was"))
    figure.locator("canvas").first.wait_for()
    points = line.ask("/api/v1/monitors/press1_bearing/return_times", token=line.token).json
    returns, demand = points["mean"]
    assert demand[0] == pytest.approx(5.7816, abs=0.001), "a week in log10 s"
    assert max(returns) > 4, "what raised the alarm is rare"
    assert line.ask("/api/v1/monitors/nothing/return_times", token=line.token).status == 404


def test_a_wrong_verdict_becomes_a_label(page: Any, line: Any) -> None:
    page.get_by_role("link", name="Parts").click()
    page.get_by_role("button", name="This is wrong").first.wait_for(timeout=60_000)
    form = page.locator("form").filter(has=page.get_by_role("button", name="This is wrong")).first
    form.get_by_label("What it really is").fill("scratch")
    form.get_by_role("button", name="This is wrong").click()
    page.get_by_text("Noted as “scratch” by otto.").first.wait_for()


@pytest.mark.parametrize("width", [320, 1280, 3840])
def test_every_page_fits_and_has_a_heading(page: Any, line: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for name in ("Now", "Alarms", "Signals", "Parts", "Models", "System", "Settings"):
        page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        page.locator(f"#pages a[aria-current]:has-text('{name}')").wait_for()
        page.get_by_role("heading", level=1).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


@pytest.mark.parametrize(("code", "title"), [("de", "Die Linie jetzt"), ("ja", "ラインの現況")])
def test_the_language_is_switched_in_the_page(page: Any, code: str, title: str) -> None:
    page.get_by_label("Language").select_option(code)
    page.get_by_role("heading", name=title).wait_for()
    assert page.evaluate("document.documentElement.lang") == code
    kinds = {"de": "die Maschine hat ihren Normalzustand verlassen", "ja": "機械が通常状態を外れました"}
    page.goto(page.url.partition("#")[0] + "#/alarms?show=all")
    page.get_by_role("link", name=re.compile(kinds[code])).first.wait_for()


def test_accessibility(page: Any, line: Any) -> None:
    axe = (Path(__file__).parent / "vendored" / "axe" / "axe.min.js").read_text()
    id = line.ask("/api/v1/alarms", token=line.token).json[0]["id"]
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for path in ("now", "alarms", f"alarms/{id}", "signals/press1_vib", "parts", "models", "system", "settings"):
            page.goto(f"{line.url}/#/{path}")
            page.get_by_role("heading", level=1).first.wait_for()
            page.wait_for_timeout(300)
            page.evaluate(axe)
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            grave = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
            serious = [(v["id"], v["nodes"][0]["html"][:120]) for v in grave]
            assert serious == [], (scheme, path)
