"""Alarms read from the file that AnomalyInference keeps, commands sent to it, and its answers."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from edgeloop import clock
from edgeloop.alarms import Acknowledge, Alarm, Command, Shelve, Unshelve
from edgeloop.alarms.journal import read
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from edgeloop_tools.nucleus import find
from edgeloop_tools.operate.channel import Channel, opened

OWNER, CAMERAS = "io.edgeloop.AnomalyInference", "io.edgeloop.CameraInference"
FILE = "alarms.jsonl"


def list_(arguments: argparse.Namespace) -> int | None:
    alarms = [a for a in _alarms(arguments) if not arguments.asset or a.asset == arguments.asset]
    if not arguments.all:
        alarms = [a for a in alarms if (a.open or a.unseen) and not a.held_by]
    _show(alarms, json_=arguments.json)
    return None


def ack(arguments: argparse.Namespace) -> int | None:
    alarms = _named(_alarms(arguments), arguments.ids, groups=arguments.group)
    by = _by(arguments)
    wanted = [a for a in alarms if a.reason != arguments.reason or a.state == "raised"]
    _send(arguments, alarms, [Acknowledge(id=a.id, reason=arguments.reason, by=by) for a in wanted])
    return None


def shelve(arguments: argparse.Namespace) -> int | None:
    try:
        span = Duration(arguments.span)
    except ValueError as error:
        raise EdgeloopError("--for has another shape", why=str(error), mend="write 30min, 8h or 2d") from None
    alarms = _named(_alarms(arguments), arguments.ids)
    _refuse_closed(alarms)
    by, until = _by(arguments), clock.now() + span
    _send(arguments, alarms, [Shelve(id=a.id, until=until, by=by) for a in alarms])
    return None


def unshelve(arguments: argparse.Namespace) -> int | None:
    alarms = _named(_alarms(arguments), arguments.ids)
    _refuse_closed(alarms)
    by = _by(arguments)
    _send(arguments, alarms, [Unshelve(id=a.id, by=by) for a in alarms if a.state == "shelved"])
    return None


def _root(arguments: argparse.Namespace) -> Path:
    return find(arguments.root).root.absolute()


def _alarms(arguments: argparse.Namespace) -> list[Alarm]:
    """Oldest first."""
    path = _root(arguments) / "work" / OWNER / FILE
    cameras = path.parents[1] / CAMERAS / FILE
    try:
        found = [alarm for book in (path, cameras) if book.is_file() for alarm in read(book)]
        if found or path.parent.is_dir() or cameras.parent.is_dir():
            return sorted(found, key=lambda alarm: alarm.raised_at)
        raise FileNotFoundError(path)
    except FileNotFoundError:
        raise EdgeloopError(
            "no alarms are kept here", where=str(path.parent), mend=f"deploy {OWNER}, or name the nucleus with --root"
        ) from None
    except PermissionError:
        raise EdgeloopError(
            "cannot read the alarms", where=str(path), why="the file is its component's",
            mend="run this as the component user (sudo -u ggc_user)",
        ) from None  # fmt: skip
    except OSError as error:
        raise EdgeloopError("cannot read the alarms", where=str(path), why=error.strerror or str(error)) from None


def _named(alarms: list[Alarm], names: Iterable[str], *, groups: bool = False) -> list[Alarm]:
    """The alarms that are meant, each once, and with them their groups. A name that fits none or several is refused."""
    found: dict[str, Alarm] = {}
    for name in names:
        exact = [a for a in alarms if a.id == name]
        fits = exact or [a for a in alarms if a.id.startswith(name) or a.id.endswith(name)]
        if not fits:
            raise EdgeloopError("no such alarm", where=name, mend="`edgeloop alarm list --all` shows them")
        if not exact and len(fits) > 1:
            several = ", ".join(a.id for a in fits[:4])
            raise EdgeloopError("several alarms are called so", where=name, why=several, mend="write more of the id")
        found |= {a.id: a for a in fits}
        if groups:
            found |= {a.id: a for a in alarms if a.group == fits[0].group and (a.open or a.unseen)}
    return list(found.values())


def _refuse_closed(alarms: Iterable[Alarm]) -> None:
    for alarm in alarms:
        if not alarm.open:
            raise EdgeloopError("the alarm is over", where=alarm.id, mend="it can only be acknowledged")


def _by(arguments: argparse.Namespace) -> str:
    try:
        return str(arguments.by or getpass.getuser())[:64]
    except (KeyError, OSError):
        return ""


def _send(arguments: argparse.Namespace, alarms: list[Alarm], commands: list[Command]) -> None:
    """Each command, then the alarm as it is after it. What had nothing to change is shown as it is."""
    done = {c.id for c in commands}
    answers = [a for a in alarms if a.id not in done]
    if commands:
        channel: Channel
        with opened(_root(arguments), arguments.publish_with, lambda: _alarms(arguments)) as channel:
            answers += [channel.send(command, msgspec.json.encode(command), arguments.wait) for command in commands]
    _show(sorted(answers, key=lambda a: a.raised_at), json_=arguments.json)


def _show(alarms: list[Alarm], *, json_: bool) -> None:
    if json_:
        for alarm in alarms:
            print(json.dumps(json.loads(alarm.document())))
        return
    if not alarms:
        print("There are no such alarms.")
        return
    now = clock.now()
    rows = [("ID", "RAISED", "STATE", "SEVERITY", "ASSET", "MONITOR", "KIND", "")]
    groups: dict[str, list[Alarm]] = {}
    for alarm in alarms:
        groups.setdefault(alarm.group or alarm.id, []).append(alarm)
    for members in groups.values():
        for at, alarm in enumerate(members):
            mark = "" if len(members) == 1 or at == 0 else "└ "
            rows.append((
                mark + alarm.id, _ago(now - alarm.raised_at), _state(alarm, now), alarm.severity, alarm.asset,
                alarm.monitor, alarm.kind, _words(alarm, first=len(members) > 1 and alarm.first_out),
            ))  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(7)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[7]]).rstrip(), file=sys.stdout)


def _state(alarm: Alarm, now: int) -> str:
    if alarm.state == "shelved":
        return f"shelved {_ago(alarm.shelved_until - now)}"
    if alarm.unseen:
        return "over, unseen"
    if alarm.state == "cleared":
        return "over"
    return alarm.state if alarm.active or alarm.chattering else f"{alarm.state}, over"


def _words(alarm: Alarm, *, first: bool) -> str:
    parts = [alarm.text]
    if first:
        parts.insert(0, "first out:")
    if alarm.count > 1 and alarm.kind != "flood":
        parts.append(f"(×{alarm.count}{', chattering' if alarm.chattering else ''})")
    if alarm.held_by:
        parts.append(f"(held back by {alarm.held_by})")
    if alarm.reason:
        parts.append(f"[{alarm.reason}{f', {alarm.by}' if alarm.by else ''}]")
    return " ".join(parts)


def _ago(span: int) -> str:
    """
    >>> _ago(90 * 10**9), _ago(3 * 3600 * 10**9), _ago(-5)
    ('1 min', '3 h', '0 s')
    """
    seconds = max(0, span // clock.NS)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
