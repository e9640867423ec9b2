"""`demo --fleet N`: N lines of three sites over 90 days, what analyses find, and back to one live line: there it
is an alarm, is acknowledged, and is over once the machine is repaired."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop import clock
from edgeloop.alarms import Acknowledge
from edgeloop.alarms.journal import read
from edgeloop.decode import document
from edgeloop.durable import replace
from edgeloop.errors import EdgeloopError
from edgeloop.fleet.messages import topic
from edgeloop.queue import QueueReader
from edgeloop_tools import extras
from edgeloop_tools.analyse import page
from edgeloop_tools.analyse.definition import Chart
from edgeloop_tools.analyse.fleet import Fleet, upload
from edgeloop_tools.analyse.publish import publish, way
from edgeloop_tools.analyse.run import run as analyse
from edgeloop_tools.core.daemon import Nucleus
from edgeloop_tools.demo.plan import ANOMALY, INGEST, RUNTIME
from edgeloop_tools.demo.run import CHECKOUT, INSTALL_TIMEOUT, Options, path_of_root
from edgeloop_tools.harness.line import Line
from edgeloop_tools.harness.recording import Received
from edgeloop_tools.operate.channel import opened

DAYS: Final = 90
AFTER: Final = 15
"""Days after the repair."""
ONSET: Final = 45
LIMIT: Final = 7.1
"""mm/s of velocity."""
SITES: Final = 3
LIVE: Final = 2
"""Number of the live line's machine: press3 of site1."""
THING: Final = "edgeloop-core"
EVERY: Final = 5
"""One machine of so many wears."""
SOON: Final = 5.0
"""s from a finding to its alarm."""
PATIENCE: Final = 120.0


@dataclass(slots=True)
class Story:
    """What was seen. found: of the machines that wear, those with a finding; false: findings of others."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    worn: int = 0
    found: int = 0
    unlike: bool = False
    false: int = 0
    objects: int = 0
    words: list[str] = field(default_factory=list)
    alarm_ms: float = 0.0
    label: dict[str, Any] = field(default_factory=dict)

    def step(self, name: str, began: float, words: str) -> None:
        self.steps.append({"step": name, "seconds": round(time.monotonic() - began, 1), "words": words})


def run(options: Options, count: int) -> int:
    """Exit code 0. Raises EdgeloopError where something of the story did not come about."""
    from edgeloop_tools.demo.run import _build

    if not 6 <= count <= 60:
        raise EdgeloopError("6 to 60 lines", where=f"--fleet {count}", mend="a machine is compared with five and more")
    extras.need("analytics")
    _build()
    root = path_of_root(options)
    path = options.report or root / "fleet.json"
    fleet, means, worn, unlike = simulated(count, options.seed)
    story = Story(worn=len(worn))
    nucleus: Nucleus = options.nucleus
    with Line(root, nucleus) as line:
        began = time.monotonic()
        line.deploy(CHECKOUT / "recipes", CHECKOUT / "artifacts", {}, _merge(options.seed))
        folder = root / "fleet"
        shutil.rmtree(folder, ignore_errors=True)
        story.objects = upload(folder / "up", fleet, means[..., :DAYS])
        _say(options, story, "upload", began, f"{count} lines of {SITES} sites, {DAYS} days: {story.objects} objects")
        pages = _analysed(options, story, folder, path.parent)
        _judge(story, folder, fleet, worn, unlike)
        _installed(line)
        alarm = _published(options, story, line, folder)
        _acknowledged(options, story, line, alarm)
        began = time.monotonic()
        means[LIVE, :, DAYS:] = means[LIVE, :, :1]
        upload(folder / "up", fleet, means, first=DAYS)
        _say(options, story, "repair", began, f"press3 is repaired; {AFTER} more days are uploaded")
        _analysed(options, story, folder, path.parent)
        began = time.monotonic()
        publish(folder / "findings", way(str(root)))
        _wait(lambda: _states(line, alarm.event.id)[-1:] == ["cleared"], "the alarm is not cleared")
        _say(options, story, "over", began, "the list of press3 is empty: its alarm is cleared")
    _write(story, path, pages, fleet, means)
    told = asdict(story)
    print(json.dumps({"event": "report", "report": told}) if options.as_json else summary(story, path))
    wrong = [] if story.found == story.worn else [f"{story.found} of {story.worn} worn machines were found"]
    wrong += [f"{story.false} false findings"] if story.false > 1 else []
    wrong += [f"the alarm came after {story.alarm_ms:.0f} ms"] if story.alarm_ms > SOON * 1000 else []
    if wrong:
        raise EdgeloopError("the fleet's story is not as it should be", why="; ".join(wrong), mend=f"see {path}")
    return 0


def simulated(count: int, seed: int) -> tuple[Fleet, NDArray[np.float64], list[int], int]:
    """Means of days [machine, indicator, day], of machines that wear and of one that always runs unlike the others."""
    each = -(-count // SITES)
    now = clock.now() // (86_400 * clock.NS) * 86_400 * clock.NS
    fleet = Fleet(
        seed, sites=SITES, assets=each, days=DAYS + AFTER, began=now - (DAYS + AFTER) * 86_400 * clock.NS,
        things={LIVE: THING},
    )  # fmt: skip
    means = fleet.means()[:count]
    random = np.random.default_rng(seed)
    worn = [n for n in range(count) if n % EVERY == LIVE]
    grown = np.maximum(0, np.arange(DAYS + AFTER) - ONSET)
    for number in worn:
        means[number, 1] += grown * random.uniform(0.045, 0.06)
    unlike = count - 1 if (count - 1) % EVERY != LIVE else count - 2
    means[unlike, 0] *= 1.25
    return fleet, means, worn, unlike


def _merge(seed: int) -> dict[str, dict[str, Any]]:
    """Component → configuration of the live line: one press, one monitor, findings wanted."""
    monitor = {"asset": "press3", "input": "press3_vib", "when": "press3_plc.running", "learn": "8 s"}
    return {
        RUNTIME: {"profiles": "core"},
        INGEST: {"site": "site1", "sources": {"press3": {"type": "simulator", "seed": seed}}},
        ANOMALY: {
            "site": "site1", "monitors": {"press3_bearing": monitor},
            "fleet": {"findings": True, "set": {"monitors.press3_bearing.budget": "1 alarm/month .. 1 alarm/day"}},
        },
    }  # fmt: skip


def _analysed(options: Options, story: Story, folder: Path, pages: Path) -> list[Path]:
    made = []
    questions = {
        "compare": [f"window={AFTER}"],
        "forecast": [f"limit={LIMIT}", "indicator=velocity", f"window={DAYS - ONSET}"],
    }
    for name, given in questions.items():
        began = time.monotonic()
        made.append(pages / f"fleet-{name}.html")
        done = analyse(name, str(folder / "up"), folder, given=given, report=made[-1], valid=30)
        _say(options, story, name, began, str(done).splitlines()[0].partition(": ")[0])
    return made


def _judge(story: Story, folder: Path, fleet: Fleet, worn: list[int], unlike: int) -> None:
    """Findings against what is known to be so."""
    names = {fleet.name(number) for number in worn}
    odd = fleet.name(unlike)
    found = set()
    for path in sorted((folder / "findings").glob("*/*.json")):
        message = document(path.read_bytes(), dict[str, Any], what="findings", where=str(path))
        machine = str(message["site"]), str(message["asset"])
        for each in message["findings"]:
            story.words.append(f"{machine[0]} {machine[1]}: {each['words']} ({each['analysis']})")
            if machine in names:
                found.add(machine)
            elif machine == odd:
                story.unlike = True
            else:
                story.false += 1
    story.found = len(found)


def _installed(line: Line) -> None:
    def there() -> bool:
        line.poll(measure=False)
        if any(d.status == "FAILED" for d in line.core.deployments()):
            raise EdgeloopError("the deployment failed", mend=f"see {line.root / 'logs'}")
        return any(name.endswith("AnomalyInference") for name in line.recording.health)

    _wait(there, "the line does not start", INSTALL_TIMEOUT)


def _published(options: Options, story: Story, line: Line, folder: Path) -> Received:
    """The alarm at the live line, and how long it took from the list's publication."""
    send, when = way(str(line.root)), dict[str, int]()

    def timed(where: str, payload: bytes) -> None:
        when[where] = clock.now()
        send(where, payload)

    began = time.monotonic()
    sent = publish(folder / "findings", timed)
    _wait(lambda: _fleet(line), "no finding has reached the line")
    alarm = _fleet(line)[0]
    story.alarm_ms = round((alarm.at - when[topic("site1", "press3")]) / 1e6, 1)
    words = f"{sent} lists of assets; at the line after {story.alarm_ms:.0f} ms: {alarm.event.text}"
    _say(options, story, "publish", began, words)
    return alarm


def _acknowledged(options: Options, story: Story, line: Line, alarm: Received) -> None:
    began = time.monotonic()
    command = Acknowledge(id=alarm.event.id, reason="true", by="demo")
    payload = json.dumps({"command": "acknowledge", "id": command.id, "reason": "true", "by": "demo"}).encode()
    path = line.root / "work" / ANOMALY / "alarms.jsonl"
    with opened(line.root, "", lambda: read(path)) as channel:
        channel.send(command, payload, PATIENCE)
    _wait(lambda: bool(_labels(line, command.id)), "no label is in the upload queue")
    story.label = _labels(line, command.id)[0]
    _say(options, story, "acknowledge", began, f"reason {story.label['reason']}: a label that goes up with the data")


def _labels(line: Line, alarm: str) -> list[dict[str, Any]]:
    reader = QueueReader(line.root, ANOMALY)
    entries = [entry for entry in reader.entries() if entry.kind == "labels"]
    found = [document(record, dict[str, Any]) for e in entries for record, _, _ in reader.records(e, 0).found]
    return [label for label in found if label["alarm"] == alarm]


def _fleet(line: Line) -> list[Received]:
    return [r for r in list(line.recording.alarms) if r.event.kind == "fleet" and r.event.asset == "press3"]


def _states(line: Line, id: str) -> list[str]:
    return [r.event.state for r in list(line.recording.alarms) if r.event.id == id]


def _wait(true: Callable[[], object], why: str, seconds: float = PATIENCE) -> None:
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            raise EdgeloopError(why, where=f"{seconds:.0f} s")
        time.sleep(0.05)


def _say(options: Options, story: Story, name: str, began: float, words: str) -> None:
    story.step(name, began, words)
    if not options.quiet and not options.as_json:
        print(f"{name:12} {story.steps[-1]['seconds']:6.1f} s  {words}", flush=True)


def summary(story: Story, path: Path) -> str:
    odd = "found" if story.unlike else "not found"
    return "\n".join([
        f"machines that wear   {story.found} of {story.worn} found; one that runs unlike the others: {odd}; "
        f"{story.false} false findings",
        f"finding → alarm      {story.alarm_ms:.0f} ms at the live line; acknowledged, labelled, cleared by the repair",
        f"report  {path}, {path.with_suffix('.html')}",
    ])  # fmt: skip


def _write(story: Story, path: Path, pages: list[Path], fleet: Fleet, means: NDArray[np.float64]) -> None:
    replace(path, (json.dumps(asdict(story), indent=2, ensure_ascii=False) + "\n").encode(), 0o644)
    steps = "".join(
        f"<tr><td>{escape(s['step'])}</td><td>{s['seconds']} s</td><td>{escape(s['words'])}</td></tr>"
        for s in story.steps
    )
    site, asset = fleet.name(LIVE)
    day = list(range(means.shape[2]))
    series = {asset: list(zip(map(float, day), means[LIVE, 1].tolist(), strict=True))}
    chart = page.chart_of(Chart(f"{site} {asset}: x velocity, mm/s, by day; repaired on day {DAYS}", series,
                                {"limit": LIMIT}))  # fmt: skip
    found = "".join(f"<li>{escape(words)}</li>" for words in story.words)
    links = ", ".join(f"<a href='{escape(p.name)}'>{escape(p.stem)}</a>" for p in pages)
    body = (
        f"<h1>{means.shape[0]} lines of {fleet.sites} sites, {DAYS} days</h1><pre>{escape(summary(story, path))}</pre>"
        f"<h2>The way there and back</h2><table>{steps}</table>{chart}<h2>Found</h2><ul>{found}</ul><p>{links}</p>"
    )
    text = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>A fleet</title><style>{page.STYLE}</style></head><body>{body}</body></html>\n"
    )
    replace(path.with_suffix(".html"), text.encode(), 0o644)
