"""The whole line: every mistake in one line with its place, all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgeloop_tools.config.footprint import footprints

Told = Callable[..., list[str]]
Made = Callable[..., Any]

GOOD = """\
site: north
line: l1
assets: {saw: a saw}
sources:
  a: {type: simulator, actions: {stop: {range: 0..1}}}
  plc: {type: modbus, url: "tcp://10.0.0.1:502", tags: {oil: hr 1 int16 Cel, on: di 2}}
  any: {type: process, command: ./own}
monitors:
  m: {asset: saw, input: a_vib, when: plc_state.on, per: a_plc.product}
rules:
  r: {monitor: m, source: a, target: stop}
cameras:
  c: {uri: "simulator:?seed=7", asset: saw, policy: every, reject: {source: a, target: stop}}
capture: {a_vib: {policy: windows}}
"""


def test_a_good_line(told: Told) -> None:
    assert told(GOOD) == []


def test_limits_and_alarms_are_sections_of_a_line(told: Told) -> None:
    limits = "limits: {oil: {high: 70, for: 2 s, asset: saw}, o: {if: 'plc.oil > 60 and x > 1'}}\n"
    rule = "rules:\n  l: {monitor: oil, source: a, target: stop}\n"
    assert told(GOOD.replace("rules:\n", rule) + limits + "alarms: {latch: high}\n") == []
    assert "unknown asset" in told(GOOD + limits.replace("saw", "mill"))[0]
    assert "a limit has thresholds" in str(told(GOOD + "limits: {oil: {}}\n"))
    known = GOOD.replace("  any: {type: process, command: ./own}\n", "")
    assert "unknown channel" in told(known + limits.replace("x > 1", "xx > 1"))[0]
    other = "  two: {type: modbus, url: 'tcp://10.0.0.2:502', tags: {oil: hr 1 int16 Cel}}\n  plc:"
    twice = known.replace("  plc:", other)
    assert "a channel of several streams" in told(twice + limits)[0]


ACROSS = [
    ("input: a_vib", "input: a_bib", "9:26: unknown stream (monitors.m.input): 'a_bib'; did you mean 'a_vib'?"),
    ("input: a_vib", "input: [a_vib, plcs]", "9:26: unknown stream (monitors.m.input): 'plcs'; did you mean 'plc'?"),
    ("input: a_vib", "input: any, range: {x: 0..1}", None),
    ("input: a_vib", "input: any_x", "9:26: unknown stream (monitors.m.input): 'any_x'; did you mean 'any'?"),
    ("any: {type: process, command: ./own}", "any: {type: modbus, url: tcp://x, tags_file: /t}\n"
     "  b: {type: simulator}\n", None),
    ("a_vib, when", "a_vib, channels: x w, when",
     "9:43: unknown channel (monitors.m.channels): 'w' of a_vib; known: x, y, z"),
    ("a_vib, when", "a_slow, range: {presure: 0..9}, when",
     "9:51: unknown channel (monitors.m.range.presure): 'presure' of a_slow; did you mean 'pressure'?"),
    ("plc_state.on", "plc_state.of", "9:39: unknown column (monitors.m.when): 'of' of plc_state; known: on"),
    ("plc_state.on", "plc.oil > 20", None),
    ("plc_state.on", "any.oil > 20", None),
    ("a_plc.product", "b_plc.product", "9:58: unknown stream (monitors.m.per): 'b_plc'; did you mean 'a_plc'?"),
    ("monitor: m,", "monitor: n,", "11:16: unknown monitor (rules.r.monitor): 'n'; known: m"),
    ("m, source: a", "m, source: b", "11:27: unknown source (rules.r.source): 'b'; known: a, any, plc"),
    ("a, target: stop}\ncam", "a, target: halt}\ncam",
     "11:38: unknown target (rules.r.target): 'halt' of a; known: stop"),
    ("a, target: stop}\ncam", "plc, target: stop}\ncam",
     "11:40: unknown target (rules.r.target): 'stop' of plc; add it to actions.plc"),
    ("a, target: stop}\ncam", "a, target: stop, value: 2}\ncam",
     "11:51: invalid value (rules.r.value): 2 is outside of 0..1, the range of a's stop; "
     "change the value or the range"),
    ("a, target: stop}\ncam", "a, target: stop, armed: true}\ncam",
     "11:51: note: the action does nothing (rules.r.armed): a's stop is not armed: it is only recorded"),
    ("a, target: stop}}", "a, target: stop, value: -1}}",
     "13:101: invalid value (cameras.c.reject.value): -1 is outside of 0..1, the range of a's stop; "
     "change the value or the range"),
    ("policy: every", "policy: every, model: my_model",
     "13:67: unknown model (cameras.c.model): 'my_model'; known: visual_inspection"),
    ("?seed=7", "?sed=7", "13:12: unknown key (cameras.c.uri); did you mean 'seed'?"),
    ("asset: saw, policy", "asset: saw, credentials_file: /etc/gate, policy",
     "13:12: nobody asks for credentials (cameras.c.uri): simulator: takes no credentials_file; "
     "leave it out; it is for rtsp, rtsps, http and https"),
    ('"simulator:?seed=7", asset: saw',
     '"rtsp://10.0.0.7/live", credentials_file: /etc/gate, model: visual_inspection, asset: saw', None),
    ("asset: saw, input", "asset: sew, input", "9:14: unknown asset (monitors.m.asset): 'sew'; did you mean 'saw'?"),
    ("asset: saw, policy", "asset: x, policy", "13:40: unknown asset (cameras.c.asset): 'x'; known: saw"),
    ("{a_vib: {policy: windows}}", "{a_bib: {policy: windows}}",
     "14:11: unknown stream (capture.a_bib): 'a_bib'; did you mean 'a_vib'?"),
    ("policy: windows}", "policy: alarms, monitors: m n}",
     "14:45: unknown monitor (capture.a_vib.monitors): 'n'; known: m"),
    ("  any: {type: process, command: ./own}", "  a_vib: {type: process, command: ./own}",
     "7:3: two sources have a stream a_vib (sources.a_vib): a has it; rename one"),
    ("capture:", "actions: {b: {stop: {range: 0..1}}}\ncapture:",
     "14:11: unknown source (actions.b); known: a, any, plc"),
    ("capture:", "actions: {a: {stop: {range: 0..1}}}\ncapture:",
     "14:29: set twice (actions.a.stop.range): first in line.yaml line 5; remove one"),
    ("capture:", "components: {SensorIngest: {site: x}}\ncapture:",
     "14:35: set twice (components.SensorIngest.site): first in line.yaml line 1; remove one"),
    ("capture:", "runtime: {profiles: core vision}\ncapture:",
     "14:21: a profile is missing (runtime.profiles): sources.plc needs protocols; "
     "add protocols, or leave profiles out"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line"), ACROSS)
def test_ids_across_components(old: str, new: str, line: str | None, told: Told) -> None:
    assert old in GOOD
    assert told(GOOD.replace(old, new)) == ([f"line.yaml:{line}"] if line else [])


@pytest.mark.parametrize(
    "site", ["My Home!/../x", "..", "a..b", "/etc", " north", "Halle 3/Nord", "a\\b", "x" * 65, "a=b", "n\u202e"]
)
def test_a_site_is_a_name_and_no_path(site: str, told: Told) -> None:
    (line,) = told(GOOD.replace("site: north", f"site: '{site}'"))
    assert line.startswith("line.yaml:1:7: invalid value (site): ")
    assert "letters, digits, blanks and , . : _ - are allowed, a letter or digit first, 64 at most, no .." in line


@pytest.mark.parametrize("site", ["north", "Werk 2, Halle Ä", "横浜", "plant:7.b_c-d", "7"])
def test_a_site_is_named_as_people_write_it(site: str, told: Told) -> None:
    assert told(GOOD.replace("site: north", f"site: '{site}'")) == []


def test_every_mistake_at_once_in_order(told: Told) -> None:
    lines = told(
        """\
lime: l1
site: north
sources:
  plc: {type: modbuss, url: "tcp://10.0.0.1"}
  plc2: {type: modbus, url: "tcp://10.0.0.1", pol: 5, tags: {a: hr 1 int17, b: zz 4}}
  vib: {type: process, comand: x}
monitors:
  m1: {asset: x, input: vib, budget: 3 foo}
  m1: {asset: x}
upload: {bucket: A!}
components: {SensorIngest: {tick: 1 ms, accessControl: {}}}
"""
    )
    assert [line.partition(": ")[0] for line in lines] == [
        f"line.yaml:{place}" for place in ("1:1", "1:1", "4:15", "5:47", "5:65", "5:80", "6:8", "6:24", "8:38", "9:3",
                                           "10:18", "11:35", "11:41")
    ]  # fmt: skip
    assert "unknown key (lime); did you mean 'line'?" in lines[1]
    assert "missing value (line)" in lines[0]
    assert "unknown source type (sources.plc.type): 'modbuss'" in lines[2]
    assert "unknown key (sources.plc2.pol); did you mean 'poll'?" in lines[3]
    assert "(sources.plc2.tags.a): 'int17' is no type" in lines[4]
    assert "missing value (sources.vib.command)" in lines[6]
    assert "unknown key (sources.vib.comand); did you mean 'command'?" in lines[7]
    assert "(monitors.m1.budget): unknown unit 'foo'" in lines[8]
    assert "key given twice (m1): first in line 8" in lines[9]
    assert "(components.SensorIngest.tick): 1 ms is less than the minimum 5 ms" in lines[11]
    assert "policies are the recipe's (components.SensorIngest.accessControl)" in lines[12]


def test_sections_of_the_wrong_kind(told: Told) -> None:
    lines = told("site: x\nline: l\nsources: [a]\nmonitors: 5\nactions: {a: 5}\ncomponents: {Runtime: 5}\nrules:\n")
    assert [line.partition(" (")[0] for line in lines] == [
        "line.yaml:3:10: invalid value", "line.yaml:4:11: invalid value",
        "line.yaml:5:11: unknown source", "line.yaml:6:23: invalid value",
    ]  # fmt: skip


def test_secrets_are_references(told: Told) -> None:
    lines = told(
        GOOD.replace("command: ./own", "command: ./own, password: hunter2").replace(
            'simulator:?seed=7"', 'rtsp://admin:hunter2@10.0.0.7/live", model: visual_inspection'
        )
        + "components: {com.example.Mail: {smtp: {api_key: hunter2, password_file: /etc/x}}}\n"
    )
    assert lines == [
        "line.yaml:7:50: a secret in the configuration (sources.any.password); "
        "write password_file, the path of a file on the device",
        lines[1],
        "line.yaml:15:49: a secret in the configuration (components.com.example.Mail.smtp.api_key); "
        "write api_key_file, the path of a file on the device",
    ]
    assert lines[1].startswith("line.yaml:13:12: a password in a URL (cameras.c.uri); leave user and password out")
    assert lines[1].endswith("and write credentials_file, the path of a file on the device")
    assert "hunter2" not in "".join(lines)


def test_a_refusal_shows_no_password(told: Told) -> None:
    lines = told(GOOD.replace("tcp://10.0.0.1:502", "foo://me:hunter2@10.0.0.1:502"))
    assert lines == [
        "line.yaml:6:28: a password in a URL (sources.plc.url); "
        "leave user and password out of it and write password_file, the path of a file on the device"
    ]


@pytest.mark.parametrize(
    "command",
    [
        "./own --password hunter2",
        "./own -v --api-key=hunter2 x",
        "env DB_PASSWORD=hunter2 ./own",
        "./own --token 'hunter2'",
    ],
)
def test_a_secret_in_a_command_is_found(command: str, told: Told) -> None:
    (line,) = told(GOOD.replace("command: ./own", f'command: "{command}"'))
    assert line.startswith("line.yaml:7:33: a secret in a command (sources.any.command); write it into a file")
    assert "hunter2" not in line


@pytest.mark.parametrize("command", ["./own --password-file /etc/x", "./own --tokens 5x --key-path /k", "./own -p 5"])
def test_a_command_that_names_a_file_of_secrets_is_good(command: str, told: Told) -> None:
    assert told(GOOD.replace("command: ./own", f'command: "{command}"')) == []


def test_a_secret_in_the_query_of_a_url_is_told(told: Told) -> None:
    uri = 'http://10.0.0.7/live?a=1&token=hunter2", model: visual_inspection'
    (line,) = told(GOOD.replace('simulator:?seed=7"', uri))
    assert "note: a secret in the query of a URL (cameras.c.uri)" in line
    assert "hunter2" not in line


def test_public_keys_are_no_secrets(told: Told) -> None:
    assert "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" not in "".join(
        told(GOOD + "components: {ModelUpdate: {keys: {k1: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}}}\n")
    )


def tags(count: int) -> str:
    return ", ".join(f"t{n}: hr {n} int16" for n in range(count))


def test_more_keys_than_lite_takes(told: Told) -> None:
    line = GOOD.replace("oil: hr 1 int16 Cel, on: di 2", tags(90) + ", on: di 2")
    assert told(line, nucleus="classic") == []
    (found,) = told(line)
    assert found.startswith("line.yaml:6:3: too many keys (sources.plc): io.edgeloop.SensorIngest has ")
    assert "nucleus lite takes 99; move its table into a file on the device" in found


def test_larger_values_than_lite_takes(told: Told) -> None:
    rows = "".join(f"      t{n}: hr {n} int16 Cel *0.1\n" for n in range(60))
    line = GOOD.replace("tags: {oil: hr 1 int16 Cel, on: di 2}}", "tags: &t null}").replace(
        '  plc: {type: modbus, url: "tcp://10.0.0.1:502", tags: &t null}',
        f"  plc:\n    type: modbus\n    url: tcp://10.0.0.1:502\n    tags: |\n      on: di 2\n{rows}",
    )
    (found,) = told(line)
    assert found.startswith("line.yaml:9:11: the value is too large (sources.plc.tags): ")
    assert "nucleus lite takes 1024 in one value; split it into a map of smaller ones" in found
    assert told(line, nucleus="classic") == []


def test_how_much_of_lite_a_line_takes(made: Callable[..., object]) -> None:
    room = footprints(made(GOOD))["io.edgeloop.SensorIngest"]  # type: ignore[arg-type]
    assert (room.keys, room.leaf, room.where) == (16, 20, "sources.plc.url")
    assert room.whole > room.keys


def test_a_device_is_told_with_its_own_file(told: Told) -> None:
    over = "sources: {plc: {url: 'udp://x'}}\nmonitors: {m: {input: a_fast}, n: null}\ncameras: {c: {asset: null}}\n"
    lines = told(GOOD, over)
    assert [line.partition(": ")[0] for line in lines] == ["over1.yaml:1:22", "over1.yaml:2:23", "over1.yaml:2:32"]
    assert lines[2].endswith("note: there is nothing to remove (monitors.n); known: m")


def test_a_deep_overlay_has_the_last_word(made: Callable[..., object]) -> None:
    line = made(GOOD, "site: south\nsources: {any: null}\n", "site: west\n")
    assert line.components()["io.edgeloop.SensorIngest"]["site"] == "west"  # type: ignore[attr-defined]
    assert list(line.components()["io.edgeloop.SensorIngest"]["sources"]) == ["a", "plc"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("target", "renew", "notes"),
    [
        ("", "5 s",
         ["renewals change nothing (rules.r.renew): a's stop has no fail_safe; give it one, or do not renew"]),
        ("fail_safe: {after: 12 s, value: 0}", "5 s", []),
        ("fail_safe: {after: 12 s, value: 0}", "0 s", []),
        ("fail_safe: {after: 4 s, value: 0}", "5 s",
         ["the machine is let go between renewals (rules.r.renew): a's stop returns to its safe value after 4 s; "
          "renew at least twice as often"]),
        ("fail_safe: {after: 6 s, value: 0}", "5 s",
         ["the machine is let go when one is late (rules.r.renew): a's stop returns to its safe value after 6 s; "
          "renew at least twice as often"]),
        ("fail_safe: {after: 9 s, value: 0}, every: 2 s", "2 s",
         ["renewals are refused (rules.r.renew): a's stop takes one action in 2 s; renew less often, or shorten its "
          "`every`"]),
        ("fail_safe: {after: 12 s, value: 0}, most: 100", "5 s",
         ["renewals are refused (rules.r.renew): a's stop takes 100 actions an hour; renew less often, or raise its "
          "`most`"]),
    ],
)  # fmt: skip
def test_renewals_fit_their_target(target: str, renew: str, notes: list[str], told: Told) -> None:
    text = GOOD.replace("stop: {range: 0..1}", f"stop: {{range: 0..1, {target}}}")
    text = text.replace("a, target: stop}\ncam", f"a, target: stop, renew: {renew}}}\ncam")
    assert told(text) == [f"line.yaml:11:51: note: {note}" for note in notes]


ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:plant-AbCdEf"


def test_a_secret_by_its_arn_is_for_the_classic_nucleus(told: Told) -> None:
    hall = "  hall: {type: mqtt, broker: mqtts://b, username: e, topics: {t: {filter: a}}, password_secret: "
    line = GOOD.replace("sources:\n", f"sources:\n{hall}{ARN}}}\n")
    assert told(line, nucleus="classic") == []
    (said,) = told(line)
    assert "no secret can be asked for (sources.hall.password_secret): nucleus lite has no GetSecretValue" in said
    assert said.endswith("write password_file, the path of a file on the device")
    (said,) = told(GOOD.replace("sources:\n", f"sources:\n{hall}hunter2}}\n"), nucleus="classic")
    assert "a secret in the configuration (sources.hall.password_secret)" in said
    assert "hunter2" not in said


CAMERA = '"simulator:?seed=7", asset: saw, policy: every'


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("trigger: plc_state.on, part: plc.oil", None),
        ("trigger: plc_state.of", "unknown column (cameras.c.trigger): 'of' of plc_state; known: on"),
        ("pulses: {stream: plx.count, every: 4}", "unknown stream (cameras.c.pulses.stream): 'plx'; did you mean"),
        ("trigger: plc_state.on, deadline: 99 ms", "shorter than two ticks"),
    ],
)
def test_what_announces_parts_is_there(more: str, line: str | None, told: Told) -> None:
    found = told(GOOD.replace(CAMERA, f"{CAMERA}, {more}"))
    assert (found == []) if line is None else (line in found[0])


def test_what_a_camera_counts_is_a_stream_that_monitors_see(told: Told, made: Made) -> None:
    text = GOOD.replace(CAMERA, f"{CAMERA}, stream: true") + "limits: {unknown_share: {high: 0.1}}\n"
    assert told(text) == []
    line = made(text)
    assert line.components()["io.edgeloop.SensorIngest"]["sources"]["c"] == {
        "type": "topic", "topics": {"counts": {"filter": "edgeloop/in/c", "stream": "counts", "time": "time"}},
    }  # fmt: skip
    without = made(text.replace("stream: true", "stream: false"))
    assert "c" not in without.components()["io.edgeloop.SensorIngest"]["sources"]


def test_what_iot_core_may_want(told: Told) -> None:
    def line(way: str, keys: str = 'keys: {release: "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}') -> str:
        return GOOD + f"components:\n  ModelUpdate: {{desired: {way}, {keys}}}\n"

    assert told(line("topic")) == []
    assert told(line("shadow"), nucleus="classic") == []
    (said,) = told(line("shadow"))
    assert "no shadow can be read" in said
    assert "nucleus lite has no shadows; write desired: topic" in said
    (said,) = told(line("topic", "keep: 3"))
    assert "what IoT Core wants is not taken" in said
