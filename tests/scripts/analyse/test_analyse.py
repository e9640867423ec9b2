"""Analyses on simulated fleets with known truth, from upload to findings."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from edgeloop.errors import EdgeloopError
from edgeloop_tools.analyse import findings
from edgeloop_tools.analyse.analyses.anomaly import sample as anomaly
from edgeloop_tools.analyse.analyses.cluster import sample as cluster
from edgeloop_tools.analyse.analyses.compare import sample as compare
from edgeloop_tools.analyse.analyses.forecast import sample as forecast
from edgeloop_tools.analyse.analyses.quality import sample as quality
from edgeloop_tools.analyse.definition import Analysis, Finding, load, make
from edgeloop_tools.analyse.fleet import Fleet
from edgeloop_tools.analyse.image import build
from edgeloop_tools.analyse.publish import publish
from edgeloop_tools.analyse.run import run
from edgeloop_tools.harness.single import single


def defaults(analysis: Analysis) -> dict[str, object]:
    return {key: parameter.default for key, parameter in analysis.module.PARAMETERS.items()}


def test_compare_from_upload_to_findings_and_page(tmp_path: Path) -> None:
    compare.make(tmp_path / "up")
    means = compare.MEANS
    done = run("compare", str(tmp_path / "up"), tmp_path / "out", report=tmp_path / "page.html")
    site, asset = compare.FLEET.name(compare.UNLIKE)
    found = json.loads((tmp_path / "out" / "findings" / site / f"{asset}.json").read_text())
    assert (found["schema"], [f["indicator"] for f in found["findings"]]) == (1, ["rms"])
    evidence = found["findings"][0]["evidence"]
    assert evidence["low"] < means[5, 0].mean() - np.delete(means[:, 0], 5, 0).mean() < evidence["high"]
    files = sorted((tmp_path / "out" / "findings").rglob("*.json"))
    assert len(files) == done.assets == 8
    assert [json.loads(f.read_text())["findings"] for f in files].count([]) == 7
    table = pq.read_table(tmp_path / "out" / "compare" / "table.parquet")
    assert {"site", "asset", "difference", "low", "high", "unlike"} <= set(table.column_names)
    page = (tmp_path / "page.html").read_text()
    assert found["findings"][0]["words"].split(" (")[0] in page
    assert "<svg" in page
    assert "http" not in page.replace("http-equiv", "")
    run("compare", str(tmp_path / "up"), tmp_path / "out", since="2026-01-02")
    again = json.loads((tmp_path / "out" / "findings" / site / f"{asset}.json").read_text())
    assert again["revision"] > found["revision"] > 1_700_000_000
    assert again["findings"][0]["id"] == found["findings"][0]["id"]
    assert again["findings"][0]["since"] == "2026-01-02"


def test_compare_finds_and_leaves_alone() -> None:
    analysis = load("compare")
    for seed in range(3):
        fleet = Fleet(seed)
        means = fleet.means()
        means[7, 0, -3:] *= 1.08
        means[33, 1] *= 1.25
        answer = analysis.module.fit(fleet.frame(means), defaults(analysis))
        found = {(f.site, f.asset, f.indicator, f.kind) for f in answer.findings}
        assert found == {(*fleet.name(7), "rms", "change"), (*fleet.name(33), "velocity", "level")}


def test_compare_says_where_it_cannot_say() -> None:
    analysis = load("compare")
    fleet = Fleet(1, sites=1, assets=4)
    answer = analysis.module.fit(fleet.frame(fleet.means()), defaults(analysis))
    assert (len(answer.findings), len(answer.rows)) == (0, 0)
    assert all("cannot say: 4 assets" in note for note in answer.notes)


def line(seed: int, days: int, slope: float, phi: float = 0.5) -> np.ndarray:
    random = np.random.default_rng(seed)
    noise = random.standard_normal(days)
    for day in range(1, days):
        noise[day] = phi * noise[day - 1] + np.sqrt(1 - phi * phi) * noise[day]
    return np.asarray(10 + slope * np.arange(days) + noise)


def test_forecasts_interval_covers_what_it_says() -> None:
    analysis = load("forecast")
    said = covered = 0
    for seed in range(120):
        values = line(seed, 400, 0.15)
        limit = 10 + 0.15 * 60 + 4
        truth = int(np.flatnonzero(values[60:] >= limit)[0]) + 1
        found = analysis.module.outlook(np.arange(60), values[:60], limit, defaults(analysis))
        if found.said == "yes":
            said += 1
            covered += found.low <= truth <= found.high
    assert said >= 115
    assert 0.72 <= covered / said <= 0.9


def test_forecast_says_why_it_cannot_say() -> None:
    analysis = load("forecast")
    own = defaults(analysis)
    days = np.arange(60)
    outlook = analysis.module.outlook
    assert outlook(days[:10], line(1, 10, 0.2), 30, own).said == "no: 10 days, 14 are needed"
    assert sum(outlook(days, line(seed, 60, 0.0), 30, own).said.startswith("no: no trend") for seed in range(40)) >= 38
    assert outlook(days, line(1, 60, 0.1), 1000, own).said == "no: not within 90 days"
    assert outlook(days, line(1, 60, 0.2) + 0.01 * days**2, 80, own).said.startswith("no: the trend bends")
    assert outlook(days, line(1, 60, 0.2), 15, own).said == "met"
    down = outlook(days, -line(1, 60, 0.2), -25, own | {"side": "below"})
    assert (down.said, down.slope < 0) == ("yes", True)


def test_forecast_from_an_upload(tmp_path: Path) -> None:
    forecast.make(tmp_path / "up")
    with pytest.raises(EdgeloopError, match="no limit"):
        run("forecast", str(tmp_path / "up"), tmp_path)
    run("forecast", str(tmp_path), tmp_path, given=["limit=6", "indicator=velocity"])
    found = json.loads((tmp_path / "findings" / "site1" / "press2.json").read_text())["findings"]
    assert [f["kind"] for f in found] == ["forecast"]
    assert 1 <= found[0]["evidence"]["low"] <= found[0]["evidence"]["days"] <= 20
    assert json.loads((tmp_path / "findings" / "site1" / "press1.json").read_text())["findings"] == []


def test_what_creeps_for_weeks_is_found_and_nothing_else(tmp_path: Path) -> None:
    anomaly.make(tmp_path / "up")
    done = run("anomaly", str(tmp_path / "up"), tmp_path)
    site, asset = anomaly.FLEET.name(anomaly.WORN)
    (found,) = json.loads((tmp_path / "findings" / site / f"{asset}.json").read_text())["findings"]
    assert (found["indicator"], found["kind"], done.findings) == ("velocity", "drift_level", 1)
    assert "above where it was" in found["words"]
    assert "2026-01-10" <= found["since"] <= "2026-02-05"


def test_level_unrest_and_wave_are_told_apart() -> None:
    analysis = load("anomaly")
    own = defaults(analysis)
    for seed in range(4):
        fleet = Fleet(seed, days=50)
        noise = np.random.default_rng(seed)
        frame = fleet.frame(fleet.means()).rename(columns={"value": "level"})
        frame = frame.assign(hours=24, unrest=0.2 + 0.01 * noise.standard_normal(len(frame)),
                             wave=0.1 + 0.01 * noise.standard_normal(len(frame)))  # fmt: skip
        assert analysis.module.fit(frame, own).findings == []
        for number, indicator, kind, change in ((7, "rms", "unrest", 0.1), (33, "velocity", "wave", -0.06)):
            site, asset = fleet.name(number)
            rows = (frame.site == site) & (frame.asset == asset) & (frame.indicator == indicator)
            frame.loc[rows & (frame.day > frame.day.max() - pd.Timedelta(days=12)), kind] += change
        found = {(f.site, f.asset, f.indicator, f.kind) for f in analysis.module.fit(frame, own).findings}
        assert found == {(*fleet.name(7), "rms", "drift_unrest"), (*fleet.name(33), "velocity", "drift_wave")}


def test_few_machines_are_seen_beside_their_own_weekdays() -> None:
    analysis = load("anomaly")
    fleet = Fleet(3, sites=1, assets=2, days=56)
    means = fleet.means()
    means[1, 0, -10:] += 0.4
    frame = fleet.frame(means).rename(columns={"value": "level"}).assign(hours=0, unrest=0.0, wave=0.0)
    answer = analysis.module.fit(frame, defaults(analysis))
    assert [(f.asset, f.indicator, f.kind) for f in answer.findings] == [("press2", "rms", "drift_level")]
    assert "peers" not in answer.findings[0].words
    short = analysis.module.fit(frame[frame.day < frame.day.min() + pd.Timedelta(days=15)], defaults(analysis))
    assert (len(short.findings), "nothing is said" in short.notes[0]) == (0, True)


def test_families_of_machines_are_told_apart(tmp_path: Path) -> None:
    cluster.make(tmp_path / "up")
    done = run("cluster", str(tmp_path / "up"), tmp_path)
    rows = pq.read_table(tmp_path / "cluster" / "table.parquet").to_pylist()
    groups = {(row["site"], row["asset"]): row["group"] for row in rows}
    found = [groups[cluster.FLEET.name(number)] for number in range(12)]
    assert (found, done.findings) == (list(cluster.FAMILY), 0)
    few = cluster.FLEET.frame(cluster.MEANS[:4]).assign(spread=1.0).rename(columns={"value": "level"})
    assert "cannot say: 4 assets" in load("cluster").module.fit(few, defaults(load("cluster"))).notes[0]


def test_false_answers_are_a_finding_that_proposes_a_budget(tmp_path: Path) -> None:
    quality.make(tmp_path / "up")
    done = run("quality", str(tmp_path / "up"), tmp_path / "out", report=tmp_path / "page.html")
    assert (done.rows, done.findings, done.assets) == (2, 1, 2)
    (found,) = json.loads((tmp_path / "out" / "findings" / "a" / "press1.json").read_text())["findings"]
    assert found["words"].startswith("18 of 20 answers to alarms of press1_noisy (process) were `false`")
    assert found["set"] == {"monitors.press1_noisy.budget": "1 alarm/month"}
    assert json.loads((tmp_path / "out" / "findings" / "a" / "press2.json").read_text())["findings"] == []
    with pytest.raises(EdgeloopError, match="indicators_1m"):
        run("compare", str(tmp_path / "up"), tmp_path / "other")


def test_parameters_and_names_are_checked() -> None:
    analysis = load("forecast")
    for given, words in (("limit", "no such"), ("x=1", "no such"), ("limit=a", "not a number"), ("horizon=0", "bounds"),
                         ("side=left", "above, below")):  # fmt: skip
        with pytest.raises(EdgeloopError, match=words):
            analysis.parameters([given])
    with pytest.raises(EdgeloopError, match="anomaly, cluster, compare, forecast, quality"):
        load("tea_leaves")


def test_a_message_holds_5_kb_and_other_analyses_stay(tmp_path: Path) -> None:
    comparing, forecasting = load("compare"), load("forecast")
    days = "2026-01-01", "2026-01-31"
    many = [Finding("a", "d", "p", f"c{k}", "rms", "level", "low", "w" * 300, *days) for k in range(40)]
    findings.write(tmp_path, comparing, many, [("a", "p")])
    path = tmp_path / "a" / "p.json"
    content = json.loads(path.read_text())
    assert path.stat().st_size <= 5000
    assert content["more"] == 40 - len(content["findings"]) > 0
    findings.write(tmp_path, comparing, many[:1], [("a", "p")])
    high = Finding("a", "d", "p", "c", "rms", "forecast", "high", "w", "2026-01-01", "2026-01-31")
    findings.write(tmp_path, forecasting, [high], [("a", "p")])
    content = json.loads(path.read_text())
    assert [f["analysis"] for f in content["findings"]] == ["forecast", "compare"]
    assert content["findings"][0]["until"] == "2026-02-14"
    findings.write(tmp_path, comparing, [], [("a", "p")])
    before = path.read_bytes()
    findings.write(tmp_path, comparing, [], [("a", "p")])
    assert path.read_bytes() == before
    assert [f["analysis"] for f in json.loads(before)["findings"]] == ["forecast"]


def test_a_list_is_published_once_and_again_where_it_changed(tmp_path: Path) -> None:
    sent: list[tuple[str, int]] = []
    broken = True

    def send(topic: str, payload: bytes) -> None:
        if broken and len(sent) == 1:
            raise EdgeloopError("IoT Core refuses a list of findings")
        sent.append((topic, len(json.loads(payload)["findings"])))

    one = Finding("Halle 3", "d", "p", "c", "rms", "forecast", "high", "w", "2026-01-01", "2026-01-31")
    findings.write(tmp_path, load("compare"), [one], [("Halle 3", "p"), ("Halle 3", "q")])
    with pytest.raises(EdgeloopError, match="refuses"):
        publish(tmp_path, send)
    broken = False
    assert publish(tmp_path, send) == 1
    assert sorted(sent) == [("edgeloop/findings/Halle-3/p", 1), ("edgeloop/findings/Halle-3/q", 0)]
    assert publish(tmp_path, send) == 0
    findings.write(tmp_path, load("compare"), [], [("Halle 3", "p"), ("Halle 3", "q")])
    assert publish(tmp_path, send) == 1
    assert sent[-1] == ("edgeloop/findings/Halle-3/p", 0)


def test_the_test_of_a_new_analysis_passes(tmp_path: Path) -> None:
    folder = make(tmp_path / "oven_hours")
    spec = importlib.util.spec_from_file_location("test_of_new", folder / "test_oven_hours.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.test_sample(tmp_path)
    assert "edgeloop analyse oven_hours" in (folder / "README.md").read_text()
    with pytest.raises(EdgeloopError, match="there already"):
        make(folder)


def test_an_image_is_made_from_what_is_there(tmp_path: Path) -> None:
    own = make(tmp_path / "oven_hours")
    context = build(tmp_path / "image", [own])
    lines = (context / "Dockerfile").read_text().replace("\\\n", "").splitlines()
    words = [line.split() for line in lines if line and not line.startswith("#")]
    order = [word[0] for word in words]
    assert order[0] == "FROM"
    assert words[0][1].partition(":")[2] not in ("", "latest")
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert words[order.index("USER")][1] != "0:0"
    copied = [word[1] for word in words if word[0] == "COPY"]
    assert copied == ["components", "scripts", "analyses"]
    assert all((context / name).is_dir() for name in copied)
    assert not [p for p in context.rglob("*") if p.name == "__pycache__" or p.suffix == ".pyz"]
    paths = [str(context / p) for p in ("components", "components/runtime", "scripts")]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", "-m", "edgeloop_tools", "analyse", "--help"]
    said = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "edgeloop analyse build" in said
    with pytest.raises(EdgeloopError, match="no such analysis"):
        build(tmp_path / "other", [tmp_path])


def test_two_runs_never_write_to_one_folder(tmp_path: Path) -> None:
    compare.make(tmp_path / "up")
    with single(tmp_path / ".lock", "held"), pytest.raises(EdgeloopError, match="another analysis writes here"):
        run("compare", str(tmp_path / "up"), tmp_path)


def test_every_goes_on_after_what_failed(tmp_path: Path) -> None:
    where = ["--data", str(tmp_path / "up"), "--out", str(tmp_path / "out")]
    program = (
        "import sys; from edgeloop_tools import cli, extras; extras.need = lambda *names: None; sys.exit(cli.main())"
    )  # what this analysis needs is there, without the extra's other packages, which would be fetched
    words = [sys.executable, "-c", program, "analyse", "quality", "--every", "1s", *where]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert process.stdout is not None
        told = ("nothing was uploaded", "cannot list")
        assert any(words in line for line in iter(process.stderr.readline, "") for words in told)
        quality.make(tmp_path / "up")
        assert any("2 rows, 1 findings" in line for line in iter(process.stdout.readline, ""))
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode in (0, 130, 1, -signal.SIGINT)
