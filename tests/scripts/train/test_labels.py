"""What operators said: what is left out of learning, and what measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeloop.alarms.labels import Label
from edgeloop.clock import NS, rfc3339
from edgeloop_tools.train.windows import FAULTY, HEALTHY, LEFT_OUT, Shape, kinds

from .conftest import BEGAN, Rows, Train, csv

FORM = Shape(rows=10, hop=5, rate=1.0)


def label(start: float, end: float, reason: str) -> Label:
    return Label(
        alarm="a", monitor="m", asset="p", kind="process", stream="s", epoch=1, first=0, last=1,
        start=round(start * NS), end=round(end * NS), reason=reason, by="kim", time=0, open=False,  # type: ignore[arg-type]
    )  # fmt: skip


def test_windows_are_what_was_said_of_their_time() -> None:
    first = np.arange(0, 200, 5) * NS
    last = first + 9 * NS
    said = [
        label(50, 80, "true"),
        label(120, 125, "maintenance"),
        label(150, 160, "false"),
        label(170, 180, "process_change"),
    ]
    kind = kinds(first, last, said, FORM)
    by_last = dict(zip((last // NS).tolist(), kind.tolist(), strict=True))
    assert [by_last[t] for t in (34, 39)] == [HEALTHY, HEALTHY]
    assert [by_last[t] for t in (44, 49)] == [LEFT_OUT, LEFT_OUT]
    assert {by_last[t] for t in range(54, 80, 5)} == {FAULTY}
    assert [by_last[t] for t in (84, 89, 94)] == [LEFT_OUT, LEFT_OUT, HEALTHY]
    assert [by_last[t] for t in (119, 124, 134, 139)] == [HEALTHY, LEFT_OUT, LEFT_OUT, HEALTHY]
    assert {by_last[t] for t in range(144, 200, 5)} == {HEALTHY}


def test_labelled_faults_measure_and_do_not_teach(healthy: Rows, train: Train, tmp_path: Path) -> None:
    values = healthy[:12_000].copy()
    values[3000:3300, 0] += 4
    values[6000:6300, 2] -= 1
    source = csv(tmp_path / "press1.csv", values)
    labels = tmp_path / "labels.csv"
    times = [(rfc3339(BEGAN + a * NS // 10), rfc3339(BEGAN + b * NS // 10)) for a, b in ((3000, 3300), (6000, 6300))]
    labels.write_text("start,end,reason\n" + "".join(f"{a},{b},true\n" for a, b in times))
    said = train("--input", source, "--labels", labels, "--model-dir", tmp_path / "labelled")["metrics"]
    assert said["faults"] == 2
    assert said["found"] == 1
    assert said["auroc"] > 0.95
    blind = train("--input", source, "--model-dir", tmp_path / "blind")["metrics"]
    assert "auroc" not in blind


def test_labels_of_a_device_are_read_as_they_are(short: Rows, train: Train, tmp_path: Path) -> None:
    said = label(BEGAN / NS + 300, BEGAN / NS + 330, "true")
    (tmp_path / "alarms.jsonl").write_bytes(said.document() + b"\n")
    values = short.copy()
    values[3000:3300, 0] += 4
    source = csv(tmp_path / "press1.csv", values)
    words = ("--input", source, "--labels", tmp_path / "alarms.jsonl", "--model-dir", tmp_path)
    assert train(*words)["metrics"]["faults"] == 1


def test_validation_data_measures_alone(healthy: Rows, train: Train, tmp_path: Path) -> None:
    source = csv(tmp_path / "a.csv", healthy[:8000])
    other = csv(tmp_path / "b.csv", healthy[8000:12_000], first=8000)
    said = train("--input", source, "--validation", other, "--model-dir", tmp_path)["metrics"]
    assert said["healthy_windows"] == (4000 - 64) // 16 + 1
