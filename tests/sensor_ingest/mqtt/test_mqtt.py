from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as mqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError, EdgeloopError
from edgeloop.sequence import Samples, Sequencer, Stream
from edgeloop.wire.batch import Channel, Clock
from sensor_ingest.payload.topics import matcher, wildcards
from sensor_ingest.rehearsal import Rehearsal, Running, play
from sensor_ingest.sources.mqtt import SOURCE


def running(outlet: Rehearsal, broker: Any, **options: Any) -> Running:
    return Running(SOURCE, outlet, type="mqtt", broker=broker.url, **options)


def subscribed(source: Running) -> None:
    source.until(lambda: any("subscribed" in line for line in source.outlet.lines))


def test_what_a_device_publishes_becomes_samples(tmp_path: Path, broker: Any, device: Any) -> None:
    outlet = Rehearsal("hall", tmp_path)
    channels = {"temp": "data.t Cel", "load": "data.load % *100"}
    topics = {"state": {"filter": "plant/+/state", "stream": "{1}", "channels": channels, "time": "ts"}}
    with running(outlet, broker, topics=topics) as source:
        subscribed(source)
        for i in range(100):
            payload = {"ts": 1_700_000_000_000 + 100 * i, "data": {"t": 20 + i, "load": 0.5}}
            device.publish("plant/press_1/state", json.dumps(payload))
            device.publish("plant/p2/state", json.dumps(payload))
        source.until(lambda: len(outlet.samples("hall_press_1")) == len(outlet.samples("hall_p2")) == 100)
    assert outlet.streams["hall_p2"] == Stream("hall_p2", (Channel("temp", "Cel"), Channel("load", "%", 100.0)))
    assert (outlet.samples("hall_p2")[:, 0] == np.arange(20, 120)).all()
    assert not outlet.problems


def test_a_message_may_be_one_channel(tmp_path: Path, broker: Any, device: Any) -> None:
    outlet = Rehearsal("meter", tmp_path)
    channels = {"power": "P W", "energy": "E/total kW.h"}
    topics = {
        "all": {"filter": "meter/7/#", "channel": "{1}", "channels": channels, "payload": "text", "gather": "1 h"}
    }
    with running(outlet, broker, topics=topics) as source:
        subscribed(source)
        for topic, value in (
            ("P", 1),
            ("E/total", 10),
            ("P", 2),
            ("P", 3),
            ("E/total", 30),
            ("U", 230),
            ("P", "n/a"),
            ("P", "?!"),
        ):
            device.publish(f"meter/7/{topic}", str(value))
        source.until(lambda: len(outlet.samples()) == 3 and outlet.counts == {"bad_channels": 1, "bad_payloads": 1})
    np.testing.assert_array_equal(outlet.samples(), [[1, 10], [2, np.nan], [3, 30]])
    assert outlet.streams["meter"].channels == (Channel("power", "W"), Channel("energy", "kW.h"))


def test_a_row_does_not_wait_for_ever(tmp_path: Path, broker: Any, device: Any) -> None:
    outlet = Rehearsal("meter", tmp_path)
    topics = {"all": {"filter": "m/+", "channel": "{1}", "channels": {"a": "a", "b": "b"}, "gather": "50 ms"}}
    with running(outlet, broker, topics=topics) as source:
        subscribed(source)
        device.publish("m/b", "2")
        source.until(lambda: len(outlet.samples()) == 1)
    np.testing.assert_array_equal(outlet.samples(), [[np.nan, 2]])


def test_a_retained_message_is_a_sample_only_where_it_is_wanted(tmp_path: Path, broker: Any, device: Any) -> None:
    device.publish("a", "1", retain=True)
    for retained, expected in ((False, [2]), (True, [1, 2])):
        outlet = Rehearsal("s", tmp_path)
        with running(outlet, broker, topics={"a": {"filter": "a"}}, retained=retained) as source:
            subscribed(source)
            source.until(lambda: outlet.counts.get("retained") or len(outlet.samples()))  # noqa: B023
            device.publish("a", "2")
            source.until(lambda: 2 in outlet.samples())  # noqa: B023
        assert outlet.samples().ravel().tolist() == expected


def test_bad_payloads_and_odd_topics_are_counted_and_end_nothing(tmp_path: Path, broker: Any, device: Any) -> None:
    outlet = Rehearsal("s", tmp_path)
    topics = {"a": {"filter": "p/+", "stream": "{1}", "channels": {"x": "x"}, "time": "t"}}
    with running(outlet, broker, topics=topics) as source:
        subscribed(source)
        for payload in (b"\xff", b"{", b'{"x":1}', b'{"x":1,"t":5}', b"[" * 5000, b'{"x":"high","t":1700000000}'):
            device.publish("p/one", payload)
        device.publish("p/ONE", b'{"x":1,"t":1700000000}')
        device.publish("p/" + "x" * 40, b'{"x":1,"t":1700000000}')
        for t in (1_700_000_001, 1_700_000_003, 1_700_000_002):
            device.publish("p/one", json.dumps({"x": 7, "t": t}))
        source.until(lambda: len(outlet.samples("s_one")) == 4)
    assert outlet.counts == {"bad_payloads": 5, "unset_clocks": 1, "late": 1}
    assert "s_one: a payload is dropped: 'high' is no number" in outlet.problems["payload"]
    assert "does not know the time" in outlet.problems["clock"]
    assert {"s_one", "s_one_e677e23e", "s_xxxxxxxxxxxxxxxxxxxxx_65673968"} == set(outlet.streams)
    assert outlet.streams["s_xxxxxxxxxxxxxxxxxxxxx_65673968"].title == "s_" + "x" * 40
    mine = [c for c in outlet.chunks if isinstance(c, Samples) and c.stream == "s_one"]
    assert outlet.times("s_one")[1:] == [1_700_000_001 * NS, 1_700_000_003 * NS, 1_700_000_002 * NS]
    assert mine[0].clock == Clock("free")
    sequencer = Sequencer(outlet.streams["s_one"], 1)
    flags = [sequencer.next(chunk, Clock()).discontinuity for chunk in mine]
    assert sum(flags) == 2


def test_lists_at_a_rate_are_a_regular_stream(tmp_path: Path, broker: Any, device: Any) -> None:
    outlet = Rehearsal("vib", tmp_path)
    with running(outlet, broker, topics={"a": {"filter": "vib", "rate": "1 kHz", "time": "t"}}) as source:
        subscribed(source)
        for i in range(5):
            device.publish("vib", json.dumps({"t": 1_700_000_000_000 + 10 * i, "x": list(range(10)), "y": [0] * 10}))
        source.until(lambda: len(outlet.samples()) == 50)
    stream = outlet.streams["vib"]
    assert (str(stream.rate), [c.name for c in stream.channels]) == ("1000", ["x", "y"])
    sequencer = Sequencer(stream, 1)
    batches = [sequencer.next(chunk, Clock()) for chunk in outlet.chunks]
    assert not any(batch.discontinuity for batch in batches)
    assert batches[-1].clock.source == "device"


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_an_action_is_published_and_confirmed(tmp_path: Path, broker: Any, make_device: Any, version: str) -> None:
    press = make_device(broker, hears="press/#")
    outlet = Rehearsal("s", tmp_path)
    options: dict[str, Any] = {
        "topics": {"a": {"filter": "a"}}, "version": version,
        "actions": {"stop": {"range": "0..1"}, "speed": {"range": "0..9"}},
        "writes": {"stop": 'press/cmd {"stop": {value}}', "speed": "press/speed"},
    }  # fmt: skip
    with running(outlet, broker, **options) as source:
        subscribed(source)
        source.source.write("stop", 1.0)
        source.source.write("speed", 2.5)
        assert press.wait(2) == [("press/cmd", b'{"stop": 1}'), ("press/speed", b"2.5")]
        with pytest.raises(EdgeloopError, match="no topic"):
            source.source.write("other", 1)
        broker.kill()
        with pytest.raises(TimeoutError, match="closed the connection"):
            source.until(lambda: False)
        with pytest.raises(EdgeloopError, match="not connected; nothing was sent"):
            source.source.write("stop", 1)


def test_an_action_says_what_it_is_about_and_alarms_go_out(tmp_path: Path, broker: Any, make_device: Any) -> None:
    """A source that only writes needs no topics."""
    press = make_device(broker, hears="press/#")
    outlet = Rehearsal("s", tmp_path)
    options: dict[str, Any] = {
        "actions": {"stop": {"range": "0..1"}}, "alarms": "press/alarms/{asset}/{alarm}",
        "writes": {"stop": 'press/{asset}/cmd {"stop": {value}, "why": "{text}", "at": "{time}", "of": "{channel}"}'},
    }  # fmt: skip
    cause = {"text": 'temp "is" 80', "asset": "p/1", "time": 1_700_000_000 * NS, "channel": "temp"}
    with running(outlet, broker, **options) as source:
        source.until(lambda: bool(outlet.handlers))
        source.source.carry("stop", 1.0, cause)
        ((filter, handler),) = outlet.handlers
        assert filter == "edgeloop/alarms/+"
        alarm = {"id": "a1", "asset": "press1", "state": "raised", "text": "too hot", "active": True}
        handler("edgeloop/alarms/a1", json.dumps(alarm).encode())
        handler("edgeloop/alarms/a1", b"{")
        (topic, payload), (alarms, document) = sorted(press.wait(2), reverse=True)
    assert topic == "press/p_1/cmd"
    at = "2023-11-14T22:13:20.000000000Z"
    assert json.loads(payload) == {"stop": 1, "why": 'temp "is" 80', "at": at, "of": "temp"}
    assert (alarms, json.loads(document)) == ("press/alarms/press1/a1", alarm)
    assert outlet.counts == {"alarms": 1, "bad_alarms": 1}


def test_a_broker_that_no_longer_answers_is_gone_after_its_keep_alive(tmp_path: Path, broker: Any) -> None:
    outlet = Rehearsal("s", tmp_path)
    with running(outlet, broker, topics={"a": {"filter": "a"}}, keep_alive="1 s") as source:
        subscribed(source)
        broker.freeze(True)
        try:
            with pytest.raises(TimeoutError, match="closed the connection"):
                source.until(lambda: False)
        finally:
            broker.freeze(False)


def test_a_session_brings_what_came_meanwhile(tmp_path: Path, broker: Any, device: Any) -> None:
    options: dict[str, Any] = {"topics": {"a": {"filter": "a"}}, "session": "1 h", "client": "edge1"}
    with running(Rehearsal("s", tmp_path), broker, **options) as source:
        subscribed(source)
    for i in range(5):
        device.publish("a", str(i))
    outlet = Rehearsal("s", tmp_path)
    with running(outlet, broker, **options) as source:
        source.until(lambda: len(outlet.samples()) == 5)
    assert outlet.samples().ravel().tolist() == [0, 1, 2, 3, 4]


def test_prompt_samples_do_not_wait_for_the_tick(tmp_path: Path, broker: Any, device: Any) -> None:
    outlet = Rehearsal("s", tmp_path)
    outlet.period = 1000.0
    hurried: list[int] = []
    outlet.hurry = lambda: hurried.append(len(outlet.samples()))  # type: ignore[method-assign]
    with running(outlet, broker, topics={"a": {"filter": "a"}}, prompt=True) as source:
        subscribed(source)
        device.publish("a", "1")
        source.until(lambda: len(outlet.samples()) == 1)
    assert 1 in hurried


def test_a_session_leaves_what_is_no_longer_wanted(tmp_path: Path, broker: Any, device: Any) -> None:
    options: dict[str, Any] = {"session": "1 h", "client": "edge1"}
    both = {"a": {"filter": "a"}, "b": {"filter": "b"}}
    with running(Rehearsal("s", tmp_path), broker, topics=both, **options) as source:
        subscribed(source)
    outlet = Rehearsal("s", tmp_path)
    with running(outlet, broker, topics={"a": {"filter": "a"}}, **options) as source:
        subscribed(source)
        device.publish("b", "1")
        device.publish("a", "2")
        source.until(lambda: len(outlet.samples()) == 1)
    assert "unwanted" not in outlet.counts


def test_nothing_is_acknowledged_before_it_is_written(tmp_path: Path, broker: Any, device: Any) -> None:
    """The broker keeps what was taken and not written, and what is sent again is known by its time."""
    options: dict[str, Any] = {
        "topics": {"a": {"filter": "a", "channels": {"x": "x"}, "time": "t"}}, "session": "1 h", "client": "edge1",
    }  # fmt: skip
    held: list[Any] = []
    outlet = Rehearsal("s", tmp_path)
    outlet.confirm = held.append  # type: ignore[method-assign]
    with running(outlet, broker, **options) as source:
        subscribed(source)
        for i in range(5):
            device.publish("a", json.dumps({"x": i, "t": 1_700_000_000 + i}))
        source.until(lambda: len(outlet.samples()) == 5)
        source.source.interrupt = lambda: None  # type: ignore[method-assign]
        broker_side = source.source._client.socket()
        broker_side.shutdown(2)
    again = Rehearsal("s", tmp_path)
    again.known = {"s": 1_700_000_002 * NS}
    with running(again, broker, **options) as source:
        source.until(lambda: len(again.samples()) == 2)
        device.publish("a", json.dumps({"x": 5, "t": 1_700_000_005}))
        source.until(lambda: len(again.samples()) == 3)
    assert again.samples().ravel().tolist() == [3, 4, 5]
    assert again.counts["duplicates"] == 3
    third = Rehearsal("s", tmp_path)
    with running(third, broker, **options) as source:
        subscribed(source)
        device.publish("a", json.dumps({"x": 6, "t": 1_700_000_006}))
        source.until(lambda: len(third.samples()) == 1)
    assert third.samples().tolist() == [[6]]


def test_a_broker_with_a_small_window_is_not_held_up(tmp_path: Path, make_broker: Any, make_device: Any) -> None:
    broker = make_broker(lines="allow_anonymous true\nmax_inflight_messages 10")
    device = make_device(broker)
    outlet = Rehearsal("s", tmp_path)
    outlet.period = 5.0
    with running(outlet, broker, topics={"a": {"filter": "a"}}) as source:
        subscribed(source)
        for i in range(100):
            device.client.publish("a", str(i), 1)
        source.until(lambda: len(outlet.samples()) >= 90)


def test_silence_that_was_not_expected_is_a_problem_and_a_gap(tmp_path: Path, broker: Any, device: Any) -> None:
    outlet = Rehearsal("s", tmp_path)
    with running(outlet, broker, topics={"a": {"filter": "a"}}, expect="100 ms") as source:
        subscribed(source)
        device.publish("a", "1")
        source.until(lambda: "s: nothing came for 0.1 s" in outlet.problems.get("gap.s", ""))
        device.publish("a", "2")
        source.until(lambda: len(outlet.samples()) == 2 and "gap.s" not in outlet.problems)
    assert outlet.chunks[-1].gap


def test_user_and_password_come_from_a_file(tmp_path: Path, make_broker: Any, make_device: Any) -> None:
    (tmp_path / "acl").write_text("user edge\ntopic read plant/#\n\nuser device\ntopic readwrite #\n")
    (tmp_path / "users").write_text("edge:one two\ndevice:x\n")
    subprocess.run(["mosquitto_passwd", "-U", tmp_path / "users"], check=True)
    for name in ("acl", "users"):
        (tmp_path / name).chmod(0o600)
    lines = f"allow_anonymous false\npassword_file {tmp_path}/users\nacl_file {tmp_path}/acl"
    broker = make_broker(lines=lines)
    device = make_device(broker, configure=lambda client: client.username_pw_set("device", "x"))
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    secret.chmod(0o644)
    options: dict[str, Any] = {"topics": {"a": {"filter": "plant/a"}, "b": {"filter": "secret/b"}}, "username": "edge"}
    outlet = Rehearsal("s", tmp_path)
    with pytest.raises(EdgeloopError, match="everybody may read the password file"):
        play(SOURCE, outlet, type="mqtt", broker=broker.url, password_file=str(secret), **options)
    secret.chmod(0o600)
    with running(outlet, broker, password_file=str(secret), **options) as source:
        with pytest.raises(TimeoutError, match="refuses the connection .*[Nn]ot authori.*correct `username`") as caught:
            source.until(lambda: False)
        assert "wrong" not in str(caught.value)
    secret.write_text("one two\n")
    outlet = Rehearsal("s", tmp_path)
    with running(outlet, broker, password_file=str(secret), **options) as source:
        subscribed(source)
        device.publish("secret/b", "1")
        device.publish("plant/a", "2")
        source.until(lambda: len(outlet.samples()) == 1)
    with pytest.raises(EdgeloopError, match="cannot read the password file .*No such file"):
        play(SOURCE, outlet, type="mqtt", broker=broker.url, password_file=str(tmp_path / "none"), **options)


def test_tls_believes_its_own_authority_and_shows_a_certificate(
    tmp_path: Path, make_broker: Any, certificates: Any
) -> None:
    c = certificates
    lines = f"cafile {c.ca}\ncertfile {c.server}\nkeyfile {c.server_key}\nrequire_certificate true"
    broker = make_broker(lines="allow_anonymous true", listener=lines)
    topics = {"a": {"filter": "a"}}
    url = broker.url.replace("mqtt://127.0.0.1", "mqtts://localhost")
    good = {"ca": str(c.ca), "certificate": str(c.client), "key": str(c.client_key)}
    outlet = Rehearsal("s", tmp_path)
    options: dict[str, Any] = {"actions": {"v": {"range": "0..9"}}, "writes": {"v": "a"}, "topics": topics}
    with Running(SOURCE, outlet, type="mqtt", broker=url, **good, **options) as source:
        subscribed(source)
        source.source.write("v", 7)
        source.until(lambda: outlet.samples().tolist() == [[7]])
    for wrong, why in (
        ({"certificate": "", "key": ""}, "TLS|closed|ended"),
        ({"ca": str(c.other)}, "does not pass the TLS handshake .*certificate verify failed|self.signed|unable to get"),
        ({"ca": str(c.client_key)}, "certificate or key cannot be used"),
        ({"key": str(c.server_key)}, "certificate or key cannot be used"),
    ):
        source = Running(SOURCE, Rehearsal("s", tmp_path), type="mqtt", broker=url, **good | wrong, **options)
        with source, pytest.raises(TimeoutError, match=why):
            source.until(lambda: False)
    named = broker.url.replace("mqtt://127.0.0.1", "mqtts://127.0.0.1")
    source = Running(SOURCE, Rehearsal("s", tmp_path), type="mqtt", broker=named, **good, **options)
    with source, pytest.raises(TimeoutError, match="TLS handshake .*IP address mismatch"):
        source.until(lambda: False)


def test_killing_the_broker_marks_the_gap_and_it_goes_on(plant: Any, broker: Any, make_device: Any) -> None:
    """The whole component: kill -9 of the broker, back-off, and the first batch after it flagged."""
    device = make_device(broker)
    sources = {
        "hall": {"type": "mqtt", "broker": broker.url, "topics": {"all": {"filter": "plant/+", "stream": "{1}"}}}
    }
    plant.configure(sources=sources, mirror={"hall_p1": "10 Hz"})
    plant.start()

    def samples() -> list[float]:
        return [float(v) for i in plant.journal() if i.stream == "hall_p1" for v in i.samples[:, 0]]

    def say(value: float) -> bool:
        device.publish("plant/p1", str(value))
        return value in samples()

    plant.wait(lambda: say(1.0) and plant.documents("edgeloop/mirror/hall_p1"))
    broker.kill()
    plant.wait(lambda: "the broker of the source hall closed the connection" in plant.log())
    broker.start()
    plant.wait(lambda: device.client.is_connected() and say(2.0))
    plant.wait(lambda: "the broker" not in plant.problems() and plant.health()["counters"].get("restarts.hall"))
    batches = [i for i in plant.journal() if i.stream == "hall_p1"]
    first = next(i for i in batches if 2.0 in i.samples)
    assert first.discontinuity
    assert not any(i.discontinuity for i in batches if 1.0 in i.samples)
    mirrored = plant.documents("edgeloop/mirror/hall_p1")[0]
    assert (mirrored["stream"], mirrored["values"], mirrored["units"]) == ("hall_p1", {"value": 1.0}, {"value": "1"})
    assert "Traceback" not in plant.log()
    assert "Unauthorized" not in plant.log()


@pytest.mark.parametrize(
    "options",
    [{"broker": "http://x"}, {"broker": "mqtt://"}, {"broker": "mqtt://u:p@h"}, {"broker": "mqtt://h:99999"},
     {"topics": {}},
     {"ca": "/x"}, {"broker": "mqtts://h", "key": "/x"}, {"password_file": "/x"}, {"session": "1 h", "qos": 0},
     {"topics": {"a": {"filter": "a/+"}}}, {"topics": {"a": {"filter": "a/b+", "stream": "x"}}},
     {"topics": {"a": {"filter": "#/a", "stream": "x"}}}, {"topics": {"a": {"filter": "+", "stream": "{2}"}}},
     {"topics": {"a": {"filter": "+", "channel": "{1}"}}}, {"writes": {"a": "t"}},
     {"actions": {"a": {"range": "0..1"}}}, {"actions": {"a": {"range": "0..1"}}, "writes": {"a": "t/+"}},
     {"actions": {"a": {"range": "0..1"}}, "writes": {"a": "t 5"}}],
)  # fmt: skip
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        convert({"type": "mqtt", "broker": "mqtt://h", "topics": {"a": {"filter": "a"}}, **options}, SOURCE.options)
    assert "u:p" not in str(caught.value)


def test_the_streams_are_known_ahead() -> None:
    topics = {
        "a": {"filter": "a", "channels": {"x": "x"}},
        "b": {"filter": "b/+", "stream": "Meter 7", "channel": "{1}", "channels": {"p": "P"}},
    }
    options = convert({"type": "mqtt", "broker": "mqtt://h", "topics": topics}, SOURCE.options)
    assert SOURCE.foresee("s", options) == {"s": ("x",), "s_meter_7": ("p",)}
    topics["b"]["stream"] = "{1}"
    assert (
        SOURCE.foresee("s", convert({"type": "mqtt", "broker": "mqtt://h", "topics": topics}, SOURCE.options)) is None
    )


LEVELS = st.lists(st.sampled_from(["a", "b", "", "ab", "+", "#"]), min_size=1, max_size=4)


@given(LEVELS, st.lists(st.sampled_from(["a", "b", "", "ab"]), min_size=1, max_size=4))
def test_filters_match_as_the_client_library_says(levels: list[str], topic: list[str]) -> None:
    filter = "/".join(levels)
    try:
        count = wildcards(filter)
    except ValueError:
        assert "#" in levels[:-1]
        return
    match = matcher(filter).fullmatch("/".join(topic))
    assert (match is not None) == mqtt.topic_matches_sub(filter, "/".join(topic))
    assert match is None or len(match.groups()) == count
