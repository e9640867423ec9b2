"""The producer against a local Kinesis Video Streams that checks, refuses and breaks off."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Botocore

from edgeloop.config.quantities import Size
from edgeloop.video.settings import Video
from edgeloop_tools.bench.suite import load
from edgeloop_tools.cloud.streams import Streams
from video_upload.aws.credentials import CredentialSource
from video_upload.kvs.producer import Producer

films: Any = load(Path(__file__).with_name("films.py"))

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session/+="


class Told:
    """What a producer says, remembered."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = {}
        self.problems: dict[str, str] = {}
        self.lines: list[str] = []
        self.gone: list[tuple[int, int, str]] = []
        self.errors: list[Exception] = []

    def problem(self, key: str, line: str) -> None:
        self.problems[key] = line
        self.lines.append(line)

    def clear(self, key: str) -> None:
        self.problems.pop(key, None)

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n

    def gauge(self, name: str, value: float) -> None:
        self.counts[name] = value

    def log(self, line: str, **fields: Any) -> None:
        pass

    def unexpected(self, error: Exception) -> None:
        self.errors.append(error)

    def lost(self, camera: str, first: int, last: int, why: str) -> None:
        self.gone.append((first, last, why))


def until(condition: Callable[[], object], what: str = "", seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s {what}"
        time.sleep(0.02)


def signed(method: str, path: str, headers: dict[str, str], body: bytes) -> str:
    """Why botocore would have signed otherwise."""
    given = headers.get("authorization", "")
    names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    if "host" not in names or headers.get("x-amz-security-token") != TOKEN:
        return "MissingAuthenticationTokenException"
    request = AWSRequest(method, f"http://{headers['host']}{path}", data=body, headers={n: headers[n] for n in names})
    request.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(Botocore(KEY, SECRET, TOKEN), "kinesisvideo", "eu-central-1")
    wanted = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return "" if given.endswith(wanted) else "SignatureDoesNotMatch"


@pytest.fixture
def kvs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Streams]:
    for name, value in {
        "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with Streams(tmp_path / "kvs", create=False, verify=signed) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS_VIDEO", made.url)
        made.create("s1")
        yield made


def producer(tmp_path: Path, told: Told, **more: Any) -> Producer:
    options = {"to": "kvs", "when": "always", **more.pop("video", {})}
    made = Producer(
        "gate", Video(**options), more.pop("stream", "s1"), tmp_path / "gate", tmp_path / "work", CredentialSource(),
        told, **{"deaf": 3.0, **more},
    )  # fmt: skip
    made._back = type(made._back)(0.05, 0.2)
    return made


def test_every_picture_arrives_whatever_breaks(tmp_path: Path, kvs: Streams) -> None:
    rng = random.Random(4)
    kvs.faults.cut = lambda count: rng.random() < 0.2
    kvs.faults.error = lambda count: rng.choice([4008, 5000, 5001]) if rng.random() < 0.1 else 0
    kvs.faults.delay = lambda count: 0.2 if rng.random() < 0.2 else 0.0
    data = films.film(20)
    told = Told()
    ring = films.ring(tmp_path / "gate")
    made = producer(tmp_path, told)
    made.start()
    for packet, at in films.packets(data):
        ring.packet(packet, at)
        time.sleep(0.003)
    ring.close()
    until(lambda: len({f.producer for f in kvs.fragments("s1")}) == 20 and not made._backlog.entries, str(told.lines))
    made.close()
    arrived = {fragment.producer: fragment for fragment in kvs.fragments("s1")}
    assert [f.producer for f in arrived.values()] == [films.BEGIN // 10**6 + 1000 * k for k in range(20)]
    found = [image for fragment in arrived.values() for image in films.decoded(fragment.read())]
    assert films.same(found, films.decoded(data))
    assert not told.gone
    assert not told.errors
    assert kvs.malformed == [word for word in kvs.malformed if word == "as told"]
    put = next(headers for name, headers in kvs.requests if name == "putMedia")
    assert put["x-amzn-producer-start-timestamp"] == f"{films.BEGIN / 1e9:.3f}"
    assert put["x-amzn-fragment-timecode-type"] == "ABSOLUTE"


def test_another_process_goes_on_where_the_last_was_told_it_is_kept(tmp_path: Path, kvs: Streams) -> None:
    ring = films.ring(tmp_path / "gate", films.film(6))
    kvs.faults.mute = lambda count: count >= 3
    first = producer(tmp_path, Told())
    first.start()
    until(lambda: len(kvs.fragments("s1")) == 5)
    until(lambda: first._backlog.entries and len(first._backlog.entries) == 2)
    first.close()
    kvs.faults.mute = lambda count: False
    ring.close()
    second = producer(tmp_path, Told())
    second.start()
    until(lambda: len({f.producer for f in kvs.fragments("s1")}) == 6 and not second._backlog.entries)
    second.close()
    times = [f.producer for f in kvs.fragments("s1")]
    assert len(times) == 5 + 3, "what was persisted and told did not come again"


def test_a_network_that_is_gone_fills_the_budget_and_the_rest_is_declared(tmp_path: Path, kvs: Streams) -> None:
    told = Told()
    kvs.faults.status = lambda operation: (503, "ServiceUnavailableException")
    films.ring(tmp_path / "gate", films.film(30, rate=5, width=640, height=480)).close()
    made = producer(tmp_path, told, video={"budget": Size("1 MiB")})
    made._backlog._budget = 60_000
    made.start()
    until(lambda: told.gone)
    until(lambda: "holds back" in str(told.problems))
    kvs.faults.status = lambda operation: (200, "")
    until(lambda: not made._backlog.entries)
    made.close()
    arrived = {f.producer for f in kvs.fragments("s1")}
    gone = {first // 10**6 for first, _, why in told.gone if why == "no room"}
    assert arrived | gone == {films.BEGIN // 10**6 + 1000 * k for k in range(30)}
    assert not arrived & gone


def test_refusals_are_one_line(tmp_path: Path, kvs: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    films.ring(tmp_path / "gate", films.film(2)).close()
    told = Told()
    made = producer(tmp_path, told, stream="nowhere")
    made.start()
    until(lambda: "does not exist" in str(told.problems))
    kvs.faults.status = lambda operation: (403, "AccessDeniedException")
    made._back.succeeded()
    until(lambda: "no right to stream nowhere" in str(told.problems))
    monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS_VIDEO", "http://127.0.0.1:9")
    made._back.succeeded()
    until(lambda: "gone" in str(told.problems))
    made.close()
    assert not told.gone


def test_expired_credentials_are_asked_for_anew(tmp_path: Path, kvs: Streams) -> None:
    films.ring(tmp_path / "gate", films.film(2)).close()
    answers = iter([(403, "ExpiredTokenException: The security token is expired"), (200, "")])
    kvs.faults.status = lambda operation: next(answers, (200, "")) if operation == "putMedia" else (200, "")
    told = Told()
    made = producer(tmp_path, told)
    forgotten: list[int] = []
    made._credentials.forget = lambda: forgotten.append(1)  # type: ignore[method-assign]
    made.start()
    until(lambda: len(kvs.fragments("s1")) == 2)
    made.close()
    assert forgotten == [1]


def test_old_connections_are_changed_without_a_fault(tmp_path: Path, kvs: Streams) -> None:
    told = Told()
    ring = films.ring(tmp_path / "gate")
    made = producer(tmp_path, told, rotation=0.3)
    made.start()
    for packet, at in films.packets(films.film(8)):
        ring.packet(packet, at)
        time.sleep(0.01)
    kvs.faults.longest = 0.1
    for packet, at in films.packets(films.film(8), films.BEGIN + 60 * 10**9):
        ring.packet(packet, at)
        time.sleep(0.01)
    ring.close()
    until(lambda: len({f.producer for f in kvs.fragments("s1")}) == 16 and not made._backlog.entries)
    made.close()
    assert kvs.connections >= 3
    assert not told.counts.get("video_errors.gate")


@pytest.mark.parametrize("form", ["b-frames", "no key frames", "another size"])
def test_streams_that_are_odd(tmp_path: Path, kvs: Streams, form: str) -> None:
    told = Told()
    ring = films.ring(tmp_path / "gate")
    data = {
        "b-frames": lambda: films.film(3, bf="2", preset="medium"),
        "no key frames": lambda: films.film(25, rate=5, g="1000"),
        "another size": lambda: films.film(3),
    }[form]()
    for packet, at in films.packets(data):
        ring.packet(packet, at)
    if form == "another size":
        for packet, at in films.packets(films.film(3, width=640, height=480), films.BEGIN + 10**10):
            ring.packet(packet, at)
    ring.close()
    made = producer(tmp_path, told)
    made.start()
    if form == "another size":
        until(lambda: len({f.producer for f in kvs.fragments("s1")}) == 6)
        assert kvs.connections >= 2
    else:
        until(lambda: told.gone)
        words = {"b-frames": "B-frames", "no key frames": "does not begin with a key frame"}
        until(lambda: any(words[form] in line for line in told.lines))
    until(lambda: not made._backlog.entries)
    made.close()
    assert not told.errors
