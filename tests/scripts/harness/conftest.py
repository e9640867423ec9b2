"""A recorded run: real journal, real faults, invented alarms."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgeloop.clock import NS
from edgeloop.journal import JournalWriter
from edgeloop.sim.faults import Schedule
from edgeloop.sim.machine import Machine
from edgeloop.sim.play import play, truth
from edgeloop.sim.spec import Spec
from edgeloop_tools.core.client import ComponentStatus
from edgeloop_tools.harness.documents import AlarmEvent, Cause, Result, TruthEvent
from edgeloop_tools.harness.evaluate import Expectation
from edgeloop_tools.harness.processes import Meter
from edgeloop_tools.harness.recording import Intervention, Received, Recording, Score
from edgeloop_tools.harness.trivial import Watched

BEGAN = 1_700_000_000 * NS
DURATION = 40


@dataclass
class RecordedLine:
    """Has of a Line what the evaluation looks at."""

    journal: Path
    recording: Recording = field(default_factory=lambda: Recording(started=BEGAN))
    meter: Meter = field(default_factory=Meter)
    nucleus: str = "classic"
    components: dict[str, ComponentStatus] = field(default_factory=dict)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[RecordedLine, Expectation]:
    line = RecordedLine(tmp_path_factory.mktemp("run") / "journal")
    recording = line.recording
    schedule = Schedule.seeded(7, ["press1"], 12 * NS, DURATION * NS, every=7 * NS, hold=4 * NS)
    machine = Machine(Spec("press1"), 7, schedule)
    written = 0
    with JournalWriter(line.journal) as writer:
        for end, items in play([machine], DURATION * NS, began=BEGAN, tick=NS // 4, epoch=writer.epoch):
            span = writer.append(items)
            recording.announced_bytes[span.segment] = span.end
            for item in items:
                recording.announce(item.stream, item.epoch, item.index, len(item))  # type: ignore[union-attr, arg-type]
                written += len(item)  # type: ignore[arg-type]
            recording.per_second[(BEGAN + end) // NS] += 3
    kinds = {"dropout": "gap", "clock_jump": "clock"}
    for number, fault in enumerate(schedule):
        document = truth(fault, "ended", BEGAN)
        recording.truth[fault.id] = TruthEvent(**{k: document[k] for k in TruthEvent.__struct_fields__})
        if number == 1:
            continue
        at = BEGAN + fault.start + NS
        cause = Cause(document["stream"] or "press1_vib", 1, 1000)
        event = AlarmEvent(
            f"alarm{number}", "raised", "press1_bearing", "press1", kinds.get(fault.kind, "process"), "high",
            f"{fault.kind} ×6, channel {fault.channel or 'all'}", at, at, cause, at - 80_000_000,
        )  # fmt: skip
        recording.alarms.append(Received(at, event))
    false = AlarmEvent(
        "false", "raised", "press1_bearing", "press1", "process", "high", "nothing at all", 0, BEGAN + 2 * NS
    )
    recording.alarms.append(Received(BEGAN + 5 * NS, false))
    recording.interventions.append(Intervention("kill", "io.edgeloop.SensorIngest", BEGAN + 20 * NS, BEGAN + 21 * NS))
    recording.first_score = BEGAN + 3 * NS
    for tick in range(DURATION * 5):
        result = Result("press1_bearing", score=0.1, return_time=2 + (tick % 7) / 7, state="live")
        recording.scores["press1_bearing"].append(Score(BEGAN + tick * NS // 5, result))
    line.components["io.edgeloop.SensorIngest"] = ComponentStatus(
        "io.edgeloop.SensorIngest", "0.1.0", "RUNNING", (), 1, "", True, {}
    )
    expected = Expectation(
        machines=["press1"],
        watched=[Watched("press1", f"press1_{s}", "press1_plc", 10 * NS, 2 * NS) for s in ("vib", "slow")],
        orders={"BPFO": 107.4},
        seed=7,
    )
    return line, expected
