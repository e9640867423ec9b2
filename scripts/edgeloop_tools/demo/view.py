"""The run as it happens: a live screen where there is a terminal, lines where there is none."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console, Group
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edgeloop.clock import NS, now
from edgeloop.topics import short
from edgeloop_tools.demo.parts import Parts, Passing
from edgeloop_tools.demo.spectrum import BARS, Spectra, Spectrum
from edgeloop_tools.harness.line import Line

LOG = 5
"""Lines of the log of events, at the least."""
COLOURS = {
    "truth": "yellow",
    "alarm": "red",
    "score": "cyan",
    "action": "magenta",
    "kill": "bold red",
    "reject": "magenta",
    "model": "green",
    "deploy": "green",
    "health": "blue",
}


@dataclass(slots=True)
class Progress:
    """Where the run stands. installed: ns UTC, or None while the environment is being installed."""

    title: str
    duration: float
    installed: int | None = None

    @property
    def seconds(self) -> float:
        return 0.0 if self.installed is None else (now() - self.installed) / NS


class View(Protocol):
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def say(self, kind: str, line: str) -> None:
        """One event."""

    def show(self, line: Line, progress: Progress) -> None:
        """The state of things, a few times a second."""


class Silence:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def say(self, kind: str, line: str) -> None:
        return None

    def show(self, line: Line, progress: Progress) -> None:
        return None


class Lines(Silence):
    """Plain lines; as JSON objects with `as_json`."""

    EVERY = 5.0

    def __init__(self, as_json: bool = False) -> None:
        self._json = as_json
        self._next = 0.0
        self._start = time.monotonic()

    def say(self, kind: str, line: str) -> None:
        self._print({"event": kind, "text": line}, f"{kind:8}{line}")

    def show(self, line: Line, progress: Progress) -> None:
        at = time.monotonic()
        if progress.installed is None or at < self._next:
            return
        self._next = at + self.EVERY
        rates = {name: round(s.rate(5 * NS), 1) for name, s in sorted(line.observer.streams.items())}
        scores = {m: round(r.score or 0.0, 2) for m, r in sorted(line.recording.latest().items())}
        states = {short(n): c.state for n, c in sorted(line.components.items()) if n.startswith("io.edgeloop.")}
        bus = round(line.recording.rate(), 1)
        words = [f"{round(progress.seconds)}/{progress.duration:.0f} s", f"bus {bus:g}/s"]
        words += [f"{name} {rate:g}/s" for name, rate in rates.items()]
        words += [f"{monitor} {score:.2f}" for monitor, score in scores.items()]
        words += [f"{name} {state}" for name, state in states.items() if state not in ("RUNNING", "FINISHED")]
        document = {"event": "status", "seconds": round(progress.seconds, 1), "bus_messages_per_s": bus,
                    "streams_per_s": rates, "scores": scores, "components": states}  # fmt: skip
        self._print(document, "status  " + "  ".join(words))

    def _print(self, document: dict[str, Any], words: str) -> None:
        at = time.monotonic() - self._start
        line = json.dumps({"t": round(at, 2), **document}) if self._json else f"{at:6.1f}  {words}"
        print(line, flush=True)


class Screen:
    """A live screen: streams, scores, spectra, parts, truth against alarms, components, events."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self._events: deque[tuple[float, str, str]] = deque(maxlen=200)
        self._spectra, self._parts = Spectra(), Parts()
        self._start = time.monotonic()
        self._live = Live(console=self.console, refresh_per_second=4, screen=False, transient=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)
        for at, what, line in list(self._events)[-30:]:
            self.console.print(_event(at, what, line))

    def say(self, kind: str, line: str) -> None:
        self._events.append((time.monotonic() - self._start, kind, line))

    def show(self, line: Line, progress: Progress) -> None:
        self._live.update(self.picture(line, progress), refresh=True)

    def picture(self, line: Line, progress: Progress) -> Layout:
        layout = Layout()
        streams, scores, components = _streams(line), _scores(line), _components(line)
        upper = max(len(line.observer.streams), 2 * len(line.recording.scores), 4) + 4
        lower = max(len(line.components) + 4, 8)
        middle = self._middle(line, self.console.height - upper - lower - 1 - LOG)
        layout.split_column(
            Layout(_header(line, progress), size=1),
            Layout(name="upper", size=upper),
            *middle,
            Layout(name="lower", size=lower),
            Layout(self._log(), name="log", minimum_size=LOG),
        )
        layout["upper"].split_row(Layout(_panel("streams", streams)), Layout(_panel("scores", scores)))
        layout["lower"].split_row(
            Layout(_panel("truth and alarms", _alarms(line))), Layout(_panel("components", components))
        )
        return layout

    def _middle(self, line: Line, room: int) -> list[Layout]:
        """Spectra and parts side by side, where there are any and `room` lines are enough."""
        self._parts.see(line.recording.inspections)
        spectra = list(self._spectra.of(line.observer.streams, max(8, self.console.width // 2 - 38)))
        cameras = self._parts.cameras
        size = max(len(spectra) + 1, 2 * len(cameras)) + 2
        if not (spectra or cameras) or size > room:
            return []
        row = Layout(name="middle", size=size)
        row.split_row(
            Layout(_panel("spectrum", _spectra(spectra))),
            Layout(_panel("parts going by", _passing(cameras, self.console.width // 2 - 6))),
        )
        return [row]

    def _log(self) -> Panel:
        lines = [_event(*event) for event in list(self._events)[-max(4, self.console.height // 3) :]]
        return _panel("events", Group(*reversed(lines)))


def _panel(title: str, content: Any) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="bright_black", padding=(0, 1))


def _event(at: float, kind: str, line: str) -> Text:
    return Text.assemble((f"{at:6.1f} ", "bright_black"), (f"{kind:8}", COLOURS.get(kind, "bright_black")), line)


def _header(line: Line, progress: Progress) -> Text:
    if progress.installed is None:
        stage = "installing"
    else:
        stage = f"{min(progress.seconds, progress.duration):.0f} of {progress.duration:.0f} s"
    kills = [i for i in line.recording.interventions if i.recovered]
    text = Text.assemble(
        ("edgeloop ", "bold"), progress.title, ("  │  ", "bright_black"), stage, ("  │  ", "bright_black"),
        f"bus {line.recording.rate():.0f} messages/s",
    )  # fmt: skip
    if kills:
        text.append(f"  │  {len(kills)} × kill -9 survived", style="green")
    return text


def _streams(line: Line) -> Table:
    table = _table("stream", ">samples/s", ">ch", "")
    for name, stream in sorted(line.observer.streams.items()):
        late = now() - stream.at > 2 * NS
        rate = Text(
            f"{stream.rate():,.0f}" if stream.rate() >= 20 else f"{stream.rate():.1f}", style="red" if late else ""
        )
        picture = Text(
            stream.note or sparkline(list(stream.levels)[-24:]), style="cyan", overflow="ellipsis", no_wrap=True
        )
        table.add_row(name, rate, str(stream.channels), picture)
    return table


def _scores(line: Line) -> Table:
    table = _table("monitor", "score", ">", "state")
    for name, result in sorted(line.recording.latest().items()):
        score = result.score or 0.0
        colour = "red" if score >= 0.8 else "yellow" if score >= 0.5 else "green"
        bar = Text("█" * round(score * 16), style=colour)
        bar.append("·" * (16 - round(score * 16)), style="bright_black")
        words = ""
        if result.attribution and score >= 0.5:
            top = result.attribution[0]
            words = f"{top.band} {top.channel}" + (f" ×{top.ratio:.1f}" if top.ratio else "")
        table.add_row(name, bar, f"{score:.2f}", result.state)
        table.add_row("", Text(words, style="bright_black"), "", "")
    return table


def _spectra(spectra: Iterable[tuple[str, Spectrum]]) -> Table:
    table = _table("stream", "from 0 Hz", ">to", ">peak")
    for name, spectrum in spectra:
        table.add_row(name, Text(spectrum.line, style="cyan", no_wrap=True), f"{spectrum.upto / 1000:g} kHz",
                      f"{spectrum.peak:,.0f} Hz")  # fmt: skip
    return table


def _passing(cameras: Mapping[str, Passing], width: int) -> Table:
    table = Table(box=None, pad_edge=False, expand=True, show_header=False)
    for name, passing in sorted(cameras.items()):
        table.add_row(name, passing.glyphs(max(8, width - max(map(len, cameras)))))
        table.add_row("", passing.words())
    return table


def _alarms(line: Line) -> Table:
    table = _table("", "machine", "what")
    at = now()
    for event in [t for t in list(line.recording.truth.values()) if t.state == "started" and t.end > at][-4:]:
        table.add_row(Text("truth", style="yellow"), event.machine, event.kind.replace("_", " "))
    for received in line.recording.standing()[-5:]:
        event_text = received.event.text or received.event.kind
        table.add_row(Text("alarm", style="bold red"), received.event.asset, event_text)
    for action in line.recording.actions[-2:]:
        what = f"{action.target}={action.value}: {action.outcome.replace('_', ' ')}"
        table.add_row(Text("action", style="magenta"), action.source, what)
    return table


def _components(line: Line) -> Table:
    table = _table("component", "state", ">PSS", ">CPU", ">restarts")
    for name, component in sorted(line.components.items()):
        usage = line.meter.usage.get(name)
        good = component.state in ("RUNNING", "FINISHED")
        memory = f"{usage.pss / 1e6:.0f} MB" if usage and usage.pss else ""
        cpu = f"{usage.cpu_percent_now:.0f} %" if usage and usage.pss else ""
        state = Text(component.state, style="green" if good else "red")
        table.add_row(short(name) or name, state, memory, cpu, str(component.restarts))
    return table


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, expand=True, header_style="bright_black")
    for head in heads:
        table.add_column(head.lstrip(">"), justify="right" if head.startswith(">") else "left", overflow="ellipsis")
    return table


def sparkline(levels: Sequence[float]) -> str:
    """
    >>> sparkline([0, 1, 2, 7])
    '▁▂▃█'
    """
    if not levels:
        return ""
    low, high = min(levels), max(levels)
    width = (high - low) or 1.0
    return "".join(BARS[min(7, int((v - low) / width * 8))] for v in levels)


def choose(as_json: bool, quiet: bool = False) -> View:
    """A screen for a terminal, else lines; nothing at all for `quiet`."""
    if quiet:
        return Silence()
    if as_json or not sys.stdout.isatty():
        return Lines(as_json)
    return Screen()
