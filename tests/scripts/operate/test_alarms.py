"""The verb `alarm`, with a file of alarms and a program that publishes: as on a device."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgeloop import clock
from edgeloop.alarms import Alarm, AlarmBook, AlarmJournal, AlarmSettings, Cause
from edgeloop.clock import NS
from edgeloop_tools.cli import main

ANSWER = """
import sys
from pathlib import Path
from edgeloop import clock
from edgeloop.alarms import AlarmBook, AlarmJournal, parse
assert sys.argv[2] == "edgeloop/commands/alarms"
journal = AlarmJournal(Path(sys.argv[1]))
AlarmBook(journal.alarms, journal.record).command(parse(sys.argv[3].encode()), clock.now())
"""


class Device:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "work" / "io.edgeloop.AnomalyInference" / "alarms.jsonl"
        self.path.parent.mkdir(parents=True)
        journal = AlarmJournal(self.path)
        self.book = AlarmBook((), journal.record, AlarmSettings(most=3))
        self.at = clock.now() - 3600 * NS
        self.alarms = [self.raise_(f"m{n}", "press1" if n < 6 else "press2") for n in range(7)]
        self.book.clear("m1", "process", cause=Cause(stream="s", epoch=1, index=99), now=self.at, sample=self.at)
        journal.close()
        (root / "answer.py").write_text(ANSWER)
        self.publish = f"{sys.executable} {root / 'answer.py'} {self.path} {{topic}} {{payload}}"

    def raise_(self, monitor: str, asset: str) -> Alarm:
        self.at += NS
        cause = Cause(stream="s", epoch=1, index=1)
        return self.book.raise_(
            monitor, "process", asset=asset, severity="high", text="RMS ×3", cause=cause, now=self.at, sample=self.at
        )[0]

    def call(self, *words: str) -> int:
        return main(["alarm", *words, "--root", str(self.root)])


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    return Device(tmp_path)


def test_the_list_shows_groups_and_what_was_not_seen(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    assert device.call("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.lstrip("└ ").split()[0] for line in lines[1:4]] == [a.id for a in device.alarms[:3]]
    assert "first out: RMS ×3" in lines[1]
    assert lines[2].startswith("└ ")
    assert "over, unseen" in lines[2]
    assert any("3 alarms held back" in line for line in lines)
    assert len(lines) == 6
    assert device.call("list", "--all", "--json") == 0
    everything = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {a.id for a in device.alarms} < {a["id"] for a in everything}
    assert device.call("list", "--asset", "press2", "--json") == 0
    assert json.loads(capsys.readouterr().out)["id"] == device.alarms[6].id


def test_commands_are_published_and_confirmed(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    sent = ["--publish-with", device.publish, "--json", "--wait", "60"]
    id = device.alarms[6].id
    assert device.call("ack", id[-6:], "--reason", "false", "--by", "kim", *sent) == 0
    known = json.loads(capsys.readouterr().out)
    assert (known["id"], known["state"], known["reason"], known["by"]) == (id, "acknowledged", "false", "kim")
    assert device.call("shelve", id, "--for", "8h", *sent) == 0
    until = json.loads(capsys.readouterr().out)["shelved_until"]
    assert abs(until - clock.now() - 8 * 3600 * NS) < 600 * NS
    assert device.call("unshelve", id, *sent) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "raised"
    assert device.call("ack", device.alarms[0].id, "--group", "--reason", "maintenance", *sent) == 0
    group = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {a["reason"] for a in group} == {"maintenance"}
    assert {a.id for a in device.alarms[:6]} == {a["id"] for a in group}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["ack", "nobody", "--reason", "true"], "no such alarm (nobody)"),
        (["ack", "a", "--reason", "true"], "several alarms are called so (a)"),
        (["shelve", "{1}", "--for", "8h"], "the alarm is over"),
        (["shelve", "{0}", "--for", "long"], "--for has another shape"),
        (["ack", "{0}", "--reason", "true"], "cannot send a command"),
        (["ack", "{0}", "--reason", "true", "--publish-with", "/bin/true"], "--publish-with has no {payload}"),
        (["ack", "{0}", "--reason", "true", "--publish-with", "/nowhere {payload}"], "cannot publish the command"),
        (["ack", "{0}", "--reason", "true", "--publish-with", "/bin/false {payload}"], "exit code 1"),
        (["ack", "{0}", "--reason", "true", "--wait", "1", "--publish-with", "/bin/true {payload}"], "not confirmed"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    device: Device, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = {f"{{{n}}}": alarm.id for n, alarm in enumerate(device.alarms)}
    assert device.call(*[ids.get(word, word) for word in words]) == 1
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1


def test_wrong_use_is_told_by_the_parser(device: Device) -> None:
    with pytest.raises(SystemExit) as error:
        device.call("ack", device.alarms[0].id, "--reason", "because")
    assert error.value.code == 2
