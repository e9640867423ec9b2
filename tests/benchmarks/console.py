"""The page: its weight, first paint, alarm to screen, a day's zoom, and what twenty open pages cost the line.

Real components on a bus of their own, two machines of 25.6 kHz × 3; the page in Chromium on this machine. The twenty
pages are one program that does what open pages do: each listens to events, asks for a chart and a spectrum every two
seconds and for a waterfall every ten. Paired windows without and with them; the interval is of the pairs' mean by
resampling.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop import clock, topics
from edgeloop.alarms import Alarm
from edgeloop.alarms.alarm import Cause
from edgeloop.bus import Bus
from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop_tools.bench.suite import CHECKOUT, load, show
from edgeloop_tools.harness.processes import cpu_seconds, pss_bytes

EXTRAS = ("console",)
MACHINES = 2
ALARMS, PAIRS, PAGES = 200, 8, 20
WINDOW = 8.0
"""s of each half of a pair."""
RATE, CHANNELS = 25_600, 3
PASSWORD = "operator-word-1"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip
WATCH = """
window.shown = {};
new MutationObserver(() => {
  const at = performance.timeOrigin + performance.now();
  for (const found of document.getElementById("page").innerText.matchAll(/raised number (\\d+)/g)) {
    window.shown[found[1]] ??= at;
  }
}).observe(document.getElementById("page"), {childList: true, subtree: true, characterData: true});
"""
READERS = """
import http.client, json, sys, threading, time
port, token, pages, streams = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4].split()
headers = {"Authorization": "Bearer " + token}

def listen():
    link = http.client.HTTPConnection("127.0.0.1", port)
    link.request("GET", "/api/v1/events", headers=headers)
    answer = link.getresponse()
    while answer.read1(65536):
        pass

def ask(number):
    link = http.client.HTTPConnection("127.0.0.1", port)
    stream = streams[number % len(streams)]
    turn = number
    time.sleep(2 * number / pages)
    while True:
        for path in ("points?last=600000&points=1500&raw=0", "spectrum?", *(["waterfall?channel="] * (turn % 5 == 0))):
            link.request("GET", f"/api/v1/streams/{stream}/{path}", headers=headers)
            link.getresponse().read()
        turn += 1
        time.sleep(2)

for number in range(pages):
    threading.Thread(target=listen, daemon=True).start()
    threading.Thread(target=ask, args=(number,), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def line() -> Iterator[Any]:
    """Two machines, what watches them, the page, a user and a token; learned and at work."""
    bed = load(CHECKOUT / "tests" / "console" / "conftest.py")
    names = [f"press{n + 1}" for n in range(MACHINES)]
    machine = {"type": "simulator", "stops": False, "faults": {"first": "9 h", "every": "9 h", "hold": "1 s"}}
    bed.CONFIGURATIONS = {
        "sensor_ingest": {"sources": {name: {**machine, "seed": 3 + n} for n, name in enumerate(names)}},
        "anomaly_inference": {"site": "plant2", "monitors": {
            f"{name}_bearing": {"asset": name, "input": f"{name}_vib", "learn": "8 s"} for name in names}},
    }  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="edgeloop-"))
    made = bed.Line(folder)
    try:
        made.user("add", "otto", "--role", "operator", given=PASSWORD)
        made.start("sensor_ingest", "anomaly_inference", "console")
        made.token = made.user("add", "mes", "--role", "operator", "--token")
        ready = [f"{name}_vib" for name in names]
        made.wait(lambda: {s["id"] for s in made.ask("/api/v1/streams", token=made.token).json} >= {*ready}, 120)
        made.streams = ready
        made.bus = Bus(socket=made.root / "ipc.socket", token=made.backend.add("bench", POLICY, {}))
        with made.bus:
            made.bus.wait_connected(60)
            yield made
    finally:
        made.close()
        shutil.rmtree(folder)


OPERATIONS = ["aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"]
POLICY = {"aws.greengrass.ipc.pubsub": {"b": {"operations": OPERATIONS, "resources": ["*"]}}}


def paint(browser: Any, made: Any) -> dict[str, Any]:
    """From the navigation to the first paint and to the line on the screen; each time without a cache."""
    first, shown, weights, elsewhere = [], [], [], 0
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(made.url)
    page.get_by_label("Name").fill("otto")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button").click()
    page.get_by_role("heading", name="The line now").wait_for()
    kept = context.storage_state()
    context.close()
    for _ in range(7):
        context = browser.new_context(locale="en-GB", storage_state=kept)
        page = context.new_page()
        asked: list[Any] = []
        page.on("requestfinished", lambda request, asked=asked: asked.append(request))
        started = time.monotonic()
        page.goto(made.url, wait_until="commit")
        page.get_by_role("heading", name="The line now").wait_for()
        shown.append(time.monotonic() - started)
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
        first.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1e3)
        weights.append(sum(r.sizes()["responseBodySize"] + r.sizes()["responseHeadersSize"] for r in asked) / 1e3)
        elsewhere += sum(not r.url.startswith(made.url) for r in asked)
        context.close()
    return {
        "first_paint_s": round(float(np.median(first)), 3), "line_shown_s": round(float(np.median(shown)), 3),
        "weight_kb": round(max(weights), 1), "requests_elsewhere": elsewhere,
    }  # fmt: skip


def alarm_to_screen(browser: Any, made: Any) -> dict[str, Any]:
    """Alarms published one by one at random moments; the page shows the list and notes when each is in it."""
    dice = np.random.default_rng(5)
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    page.goto(made.url)
    page.get_by_label("Name").fill("otto")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button").click()
    page.get_by_role("heading", name="The line now").wait_for()
    page.goto(f"{made.url}/#/alarms")
    page.get_by_role("heading", name="Alarms").wait_for()
    page.wait_for_timeout(2000)
    page.evaluate(WATCH)
    raised: dict[str, float] = {}

    def publish() -> None:
        before: Alarm | None = None
        for number in range(ALARMS):
            at = clock.now()
            alarm = Alarm(
                id=f"bench{number:04d}", monitor="press1_bearing", asset="press1", kind="process", severity="low",
                state="raised", text=f"raised number {number}", raised_at=at, time=at, sample_time=at,
                cause=Cause(stream="press1_vib"),
            )  # fmt: skip
            raised[str(number)] = time.time() * 1e3
            made.bus.publish(topics.alarm(alarm.id), alarm.document())
            if before is not None:
                over = json.loads(before.document()) | {"state": "cleared", "time": at, "reason": "true"}
                over.pop("time_rfc3339")
                made.bus.publish(topics.alarm(before.id), json.dumps(over).encode())
            before = alarm
            time.sleep(float(dice.uniform(0.15, 0.45)))

    thread = threading.Thread(target=publish)
    thread.start()
    while thread.is_alive():
        page.wait_for_timeout(500)
    page.wait_for_timeout(3000)
    shown = page.evaluate("window.shown")
    context.close()
    taken = [shown[number] - at for number, at in raised.items() if number in shown]
    if len(taken) < ALARMS * 0.9:
        raise EdgeloopError("alarms did not come to the screen", why=f"{len(taken)} of {ALARMS}")
    p50, p99 = (round(float(q), 1) for q in np.quantile(taken, (0.5, 0.99)))
    return {"alarms": ALARMS, "shown": len(taken), "p50_ms": p50, "p99_ms": p99}


@contextmanager
def pages(made: Any) -> Iterator[None]:
    words = [sys.executable, "-c", READERS, str(made.port), made.token, str(PAGES), " ".join(made.streams)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()


def cost(made: Any) -> dict[str, Any]:
    """Newest sample → its score on the bus, medians of windows in pairs; the order within a pair changes."""
    delays: list[float] = []

    def result(_: str, payload: bytes) -> None:
        at = clock.now()
        for one in json.loads(payload).get("results", []):
            if "monitor" in one and one.get("time"):
                delays.append((at - one["time"]) / 1e6)

    made.bus.subscribe(topics.results("AnomalyInference"), result)
    console = made.processes["console"].pid

    def window() -> tuple[float, float]:
        time.sleep(2)
        delays.clear()
        before = cpu_seconds(console) or 0.0
        time.sleep(WINDOW)
        return float(np.median(delays)), ((cpu_seconds(console) or 0.0) - before) / WINDOW * 100

    ratios, alone, among, cpu, idle, memory = [], [], [], [], [], 0
    for pair in range(PAIRS):
        found = {}
        for with_pages in (pair % 2 == 0, pair % 2 == 1):
            if with_pages:
                with pages(made):
                    found[True], used = window()
                    memory = max(memory, pss_bytes(console))
                cpu.append(used)
            else:
                found[False], used = window()
                idle.append(used)
        ratios.append(found[True] / found[False])
        alone.append(found[False])
        among.append(found[True])
    low, high = interval(np.array(ratios))
    return {
        "score_ms_alone": round(float(np.median(alone)), 2), "score_ms_with_pages": round(float(np.median(among)), 2),
        "ratio": round(float(np.mean(ratios)), 3), "ratio_low": round(low, 3), "ratio_high": round(high, 3),
        "console_cpu_percent": round(float(np.median(cpu)), 1),
        "console_cpu_percent_no_page": round(float(np.median(idle)), 1),
        "console_mb": round(memory / 1e6, 1),
    }  # fmt: skip


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the mean, by resampling."""
    dice = np.random.default_rng(1)
    means = values[dice.integers(0, len(values), (4_000, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def zoom() -> dict[str, Any]:
    """A day of history of 25.6 kHz × 3 as the recorder leaves it, then from the whole day down to a second."""
    from console.signals import query
    from console.signals.pyramid import FINEST, LEVELS, STEP, Pyramid, _joined, record
    from edgeloop.wire.batch import Batch, Channel

    names = tuple(Channel(name, "m/s2") for name in "xyz")
    day = 86_400
    start = 1_772_323_200 * NS
    with tempfile.TemporaryDirectory(prefix="edgeloop-", dir="/var/tmp") as place:
        folder = Path(place)
        pyramid = Pyramid(folder / "vib")
        block = np.zeros((FINEST, CHANNELS), np.float32)
        pyramid.add(Batch("vib", 1, 0, start - NS, names, block, rate=Fraction(RATE)))
        pyramid.flush()
        name = next((folder / "vib").glob("*-0-*.bins")).name
        generation = name.rpartition("-")[2]
        for path in (folder / "vib").glob("*.bins"):
            path.unlink()
        count = day * RATE // FINEST
        bins = np.empty(count, record(CHANNELS))
        bins["time"] = start + np.arange(count) * (FINEST * NS // RATE)
        values = np.random.default_rng(2).normal(size=(4096, CHANNELS)).astype(np.float32)
        for at in range(0, count, len(values)):
            rows = bins[at : at + len(values)]
            some = values[: len(rows)]
            rows["low"], rows["high"], rows["mean"] = some - 1, some + 1, some
        for level in range(LEVELS):
            bins.tofile(folder / "vib" / f"20260301-{level}-{generation}")
            bins = _joined(bins[: len(bins) // STEP * STEP])
        size = sum(path.stat().st_size for path in (folder / "vib").glob("*.bins"))
        steps, centre, span = [], start + day * NS * 2 // 3, day * NS
        while span >= NS:
            low = max(start, centre - span // 2)
            began = time.perf_counter()
            found = query.points(folder, folder, "vib", low, low + span, 1500, raw=False)
            steps.append((time.perf_counter() - began) * 1e3)
            if not found["times"]:
                raise EdgeloopError("no points", where=f"a span of {span / NS:g} s")
            span //= 3
    return {"history_mb": round(size / 1e6), "steps": len(steps), "slowest_ms": round(max(steps), 1),
            "median_ms": round(float(np.median(steps)), 1)}  # fmt: skip


def run() -> dict[str, Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise EdgeloopError("the page is looked at with the developers' packages", where="bench console",
                            mend="run `./scripts/edgeloop test --version` once") from None  # fmt: skip
    if CHROMIUM is None:
        raise EdgeloopError("no Chromium", where="bench console", mend="on Debian: sudo apt-get install chromium")
    day = zoom()
    with line() as made:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            first = paint(browser, made)
            screen = alarm_to_screen(browser, made)
            browser.close()
        twenty = cost(made)
    goals = [
        {"goal": "first paint", "unit": "s", "at_most": 1.0, "figure": first["first_paint_s"]},
        {"goal": "weight of the first page", "unit": "kB", "at_most": 250, "figure": first["weight_kb"]},
        {"goal": "requests to elsewhere", "at_most": 0, "figure": first["requests_elsewhere"]},
        {"goal": "alarm on the bus → on the screen, p99", "unit": "ms", "at_most": 300, "figure": screen["p99_ms"]},
        {"goal": f"{PAGES} pages: sample → score, times that without, upper end of 95 %", "at_most": 1.05,
         "figure": twenty["ratio_high"]},
        {"goal": f"{PAGES} pages: Console's processor", "unit": "% of a core", "at_most": 15,
         "figure": twenty["console_cpu_percent"]},
        {"goal": f"{PAGES} pages: Console's memory (PSS)", "unit": "MB", "at_most": 80, "figure": twenty["console_mb"]},
        {"goal": "a step of zoom over a day of 25.6 kHz × 3, the slowest", "unit": "ms", "at_most": 100,
         "figure": day["slowest_ms"]},
    ]  # fmt: skip
    return {"goals": goals, "first": first, "alarm": screen, "pages": twenty, "zoom": day}


if __name__ == "__main__":
    sys.stdout.write(show(run()) + "\n")
