from __future__ import annotations

import base64
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from moto.server import ThreadedMotoServer

from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError
from edgeloop.models import ModelError, archive
from edgeloop.models.manifest import Tensor, Variant
from edgeloop.models.package import unpack
from edgeloop.models.proof import Prover
from model_update.configuration import Configuration
from model_update.fetch import fetch
from model_update.updates import Updates


def advance(site: Any) -> None:
    site.updates._due.clear()
    site.updates.advance()


def test_from_a_file_to_a_committed_model(site: Any, make: Any) -> None:
    first, second = make(1.0), make(2.0, version="2.0.0")
    site.commit(*first)
    site.want(*second)
    assert site.updates.advance() == pytest.approx(1.0, abs=0.1)
    pointer = site.pointer
    assert (pointer.generation, pointer.state, pointer.active.version) == (2, "probation", "2.0.0")
    assert pointer.previous.digest == first[1]
    topic, notice = site.notices[-1]
    assert topic == "edgeloop/models/linear"
    assert json.loads(notice)["active"]["digest"] == second[1]
    with site.user() as user:
        user.used(user.current, 4)
        user._say()
        advance(site)
        assert site.pointer.state == "probation", "4 of 5 runs"
        user.used(user.current, 1)
        user._say()
        site.updates._due.clear()
        assert site.updates.advance() is None
    assert (site.pointer.state, site.pointer.generation, site.problem) == ("committed", 2, "")
    kept = {path.name for path in (site.work / "store" / "linear").iterdir()}
    assert kept == {"pointer.json", first[1], second[1]}
    steps = [json.loads(line)["step"] for line in (site.work / "history.jsonl").read_text().splitlines()]
    assert steps == ["fetching", "checking", "trying", "proved", "active", "committed"] * 2


def test_what_is_refused_is_refused_once_and_says_why(site: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.commit(*make(1.0))
    bad = make(2.0, says=3.0)
    site.want(*bad)
    assert site.updates.advance() is None
    assert "is refused: it does not pass: 4 of 4 golden cases come out wrong" in site.problem
    assert site.problem.startswith("1.0.0 serves; ")
    assert site.pointer.generation == 1
    assert not (site.work / "store" / "linear" / bad[1]).exists()

    def prove(*_: Any) -> Any:
        raise AssertionError("tried again")

    with monkeypatch.context() as patch:
        patch.setattr(Prover, "prove", prove)
        site.again()
        site.want(*bad)
        assert site.updates.advance() is None, "not even after a restart"
        assert "4 of 4 golden cases" in site.problem
        site.want(*bad, attempt=2)
        with pytest.raises(AssertionError, match="tried again"):
            site.updates.advance()
    site.want(*make(4.0))
    site.updates.advance()
    assert site.problem == ""
    assert site.pointer.generation == 2


def test_a_package_of_another_model(site: Any, make: Any) -> None:
    site.want(*make(1.0, name="other"))
    site.updates.advance()
    assert "the package is of another model (models.linear): it is 'other'" in site.problem


def test_a_package_that_is_none(site: Any, make: Any, tmp_path: Path) -> None:
    path = tmp_path / "noise.tar"
    path.write_bytes(b"noise" * 1000)
    site.want(path, archive.hashlib.sha256(path.read_bytes()).hexdigest())
    site.updates.advance()
    assert "this is no model package" in site.problem


def test_no_variant_for_this_machine(site: Any, make: Any) -> None:
    site.want(*make(1.0, variants=(Variant(runtime="onnxruntime", path="model.onnx", architecture="armv7l"),)))
    site.updates.advance()
    assert "no variant for this machine and these runtimes: it has onnxruntime for armv7l" in site.problem


def test_a_model_that_is_too_slow(site: Any, make: Any) -> None:
    made = make(1.0)
    site.want(*made, latency="1 ns")
    site.updates.advance()
    assert "ms of at most 1 ns" in site.problem
    site.want(*made, latency="10 s")
    site.updates.advance()
    assert site.pointer.active.digest == made[1], "with another budget it is tried again"


def test_the_fastest_variant_that_passes(site: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    both = (
        Variant(runtime="onnxruntime", path="model.onnx"),
        Variant(runtime="onnxruntime", path="model.onnx", precision="int8"),
        Variant(runtime="onnxruntime", path="model.onnx", precision="mixed"),
    )
    real = Prover.prove

    def prove(self: Prover, package: Any, variant: Variant, *rest: Any) -> Any:
        import msgspec

        outcome = real(self, package, variant, *rest)
        latency = {"float32": 2.0, "int8": 1.0, "mixed": 0.5}[variant.precision]
        error = "wrong" if variant.precision == "mixed" else ""
        return msgspec.structs.replace(outcome, latency=latency, error=error, final=True)

    monkeypatch.setattr(Prover, "prove", prove)
    site.want(*make(1.0, variants=both))
    site.updates.advance()
    assert site.pointer.active.variant == 1


def test_signatures_are_asked_for_where_there_are_keys(site: Any, make: Any) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    secret = base64.b64encode(private.private_bytes_raw()).decode()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    site.want(*make(1.0), settings={"keys": {"release": public}})
    site.updates.advance()
    assert "the package is not signed; sign it with a key among: release" in site.problem
    signed = make(2.0, key=secret)
    site.want(*signed, settings={"keys": {"release": public}})
    site.updates.advance()
    assert site.pointer.active.digest == signed[1]


def test_a_file_that_comes_later_and_in_parts(site: Any, make: Any) -> None:
    path, digest = make(1.0)
    whole = path.read_bytes()
    path.unlink()
    site.want(path, digest)
    assert site.updates.advance() == pytest.approx(5, abs=0.1)
    assert "there is no model package" in site.problem
    assert site.problem.startswith("the default serves, trying again in 5 s: ")
    path.write_bytes(whole[:2000])
    site.updates._due.clear()
    assert site.updates.advance() == pytest.approx(10, abs=0.1)
    assert "the package is another one" in site.problem
    path.write_bytes(whole)
    advance(site)
    assert site.pointer.active.digest == digest
    assert site.problem == ""


def test_a_bad_model_does_not_stop_a_good_one(site: Any, make: Any) -> None:
    path, digest = make(1.0)
    entries = {
        "absent": {"uri": "file:/nowhere/x.tar", "digest": "0" * 64},
        "linear": {"uri": f"file:{path}", "digest": f"sha256:{digest}"},
    }
    site.updates.apply(convert({"models": entries}, Configuration))
    assert site.updates.advance() is not None
    assert site.pointer.active.digest == digest
    assert "no model package" in site.health.problems["model.absent"]
    site.updates.apply(convert({"models": {}}, Configuration))
    assert site.updates.advance() is None
    assert site.health.problems == {}
    assert site.pointer.active.digest == digest, "what is not configured stays"


def test_back_to_the_default(site: Any, make: Any) -> None:
    _, digest = made = make(1.0)
    site.commit(*made)
    site.want("default")
    assert site.updates.advance() is None
    assert (site.pointer.active, site.pointer.generation) == (None, 2)
    assert {path.name for path in (site.work / "store" / "linear").iterdir()} == {"pointer.json", digest}


def test_a_model_that_fails_where_it_is_used_is_taken_back(site: Any, make: Any) -> None:
    first, second = make(1.0), make(2.0, version="2.0.0")
    site.commit(*first)
    site.want(*second)
    site.updates.advance()
    with site.user() as user:
        user.failed(user.current, 7)
        user._say()
        advance(site)
        assert site.problem.startswith("1.0.0 serves; ")
        assert site.problem.endswith("is refused: on probation, 7 of 7 runs failed")
        pointer = site.pointer
        assert (pointer.generation, pointer.state, pointer.active.digest) == (3, "rolled_back", first[1])
    site.updates._due.clear()
    assert site.updates.advance() is None, "and not tried again"
    assert site.pointer.generation == 3
    assert not (site.work / "store" / "linear" / second[1]).exists()


def test_probation_goes_on_while_another_version_cannot_be_had(site: Any, make: Any) -> None:
    site.commit(*make(1.0))
    site.want(*make(2.0))
    site.updates.advance()
    site.want("file:/nowhere/x.tar", "0" * 64)
    with site.user() as user:
        user.used(user.current, 10)
        user._say()
        advance(site)
    assert site.pointer.state == "committed"
    assert "no model package" in site.problem


def test_a_damaged_active_package_is_brought_anew(site: Any, make: Any) -> None:
    made = make(1.0)
    site.commit(*made)
    file = site.work / "store" / "linear" / made[1] / "model.onnx"
    whole = file.read_bytes()
    file.write_bytes(b"rotten")
    site.again()
    site.want(*made)
    site.updates.advance()
    assert file.read_bytes() == whole
    assert site.pointer.generation == 2, "so that all look again"


def test_a_trial_that_dies(site: Any, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = unpack(make(1.0)[0], tmp_path / "models")
    for number, final in ((signal.SIGSEGV, True), (signal.SIGKILL, False)):
        prover = Prover()
        done: list[Any] = []

        def prove(prover: Prover = prover, done: list[Any] = done) -> None:
            done.append(prover.prove(package, package.manifest.variants[0]))

        thread = threading.Thread(target=prove)
        thread.start()
        while prover._process is None:
            assert thread.is_alive()
        prover._process.send_signal(number)
        thread.join()
        assert f"killed by {number.name}" in done[0].error
        assert (done[0].final, done[0].crashed) == (final, True)
    killed = done[0]
    monkeypatch.setattr(Prover, "prove", lambda *_: killed)
    made = make(1.0)
    site.want(*made)
    for _ in range(3):
        advance(site)
        assert "the trial failed: it crashed the process that tried it, killed by SIGKILL" in site.problem
    advance(site)
    assert "the model cannot be tried: 3 trials ended without an answer" in site.problem


def test_a_full_disk_is_one_line(site: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    made = make(1.0)
    site.want(*made)
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=1000))
    assert site.updates.advance() == pytest.approx(5, abs=0.1)
    assert "no room for the model" in site.problem
    assert "1,000 B are free" in site.problem
    monkeypatch.undo()
    advance(site)
    assert site.pointer.active.digest == made[1]


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    import boto3

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment.items():
            patch.setenv(key, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client
    server.stop()


def test_from_s3(site: Any, make: Any, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path, digest = make(1.0)
    site.want("s3://models/line 7/linear.tar", digest)
    site.updates.advance()
    assert "cannot fetch the model (s3://models/line 7/linear.tar): An error occurred" in site.problem
    s3.put_object(Bucket="models", Key="line 7/linear.tar", Body=path.read_bytes())
    site.want("s3://models/line 7/linear.tar", digest, settings={"limit": "64 KiB"})
    advance(site)
    assert site.pointer.active.digest == digest
    assert not (site.work / "incoming" / "linear").exists()
    s3.put_object(Bucket="models", Key="large", Body=b"x" * 70_000)
    site.want("s3://models/large", "0" * 64, settings={"limit": "64 KiB"})
    advance(site)
    assert "the model package is too large (s3://models/large): 70,000 B of at most 65,536" in site.problem
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    site.want("s3://models/other", "0" * 64)
    advance(site)
    assert "Could not connect to the endpoint" in site.problem
    assert "\n" not in site.problem


def test_what_has_come_is_not_fetched_again(s3: Any, tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    s3.put_object(Bucket="models", Key="large.tar", Body=content)
    looks = iter([False, True])
    with pytest.raises(ModelError, match="interrupted"):
        fetch("s3://models/large.tar", "d" * 64, tmp_path, 8 << 20, lambda: next(looks))
    (part,) = tmp_path.iterdir()
    assert part.stat().st_size == 1 << 20
    part.write_bytes(bytes(1 << 20))
    for _ in range(2):
        whole = fetch("s3://models/large.tar", "d" * 64, tmp_path, 8 << 20, lambda: False).read_bytes()
        assert whole == bytes(1 << 20) + content[1 << 20 :], "the rest alone was asked for"


def test_without_boto3_a_line_says_what_to_add(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    site.want("s3://models/linear.tar", "0" * 64)
    site.updates.advance()
    assert "add 'upload' to profiles of io.edgeloop.Runtime" in site.problem


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"models": {"m": {"uri": "file:x", "digest": "0" * 64}}}, "models.m.*neither"),
        ({"models": {"m": {"uri": "http://h/x", "digest": "0" * 64}}}, "models.m.*neither"),
        ({"models": {"m": {"uri": "file:/x"}}}, "models.m.*64 hexadecimal digits"),
        ({"models": {"m": {"uri": "file:/x", "digest": "sha256:abc"}}}, "models.m.*64 hexadecimal digits"),
        ({"models": {"M 1": {"uri": "default"}}}, "models.M 1"),
        ({"models": {"m": {"url": "file:/x"}}}, "did you mean 'uri'"),
        ({"runtimes": "onnx"}, "runtimes: onnx; words among dlr, onnxruntime"),
        ({"keys": {"a": "short"}}, "keys.a"),
        ({"keys": {"a": {"key": "A" * 43 + "=", "until": "soon"}}}, "neither a date nor a time"),
        ({"keys": {"a": {"key": "short"}}}, "32 bytes in base64"),
    ],
)
def test_configuration_that_is_wrong(document: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        convert(document, Configuration)


def test_the_thread_ends_at_once_in_the_middle_of_a_trial(site: Any, make: Any) -> None:
    import time

    path, digest = make(1.0)
    site.want(path, digest)
    with Updates(site.root, site.work, lambda *_: None, site.health, site.updates._log) as updates:
        updates.start(site.updates._configuration)
        while updates._prover._process is None:
            assert updates._thread.is_alive()
        began = time.monotonic()
    assert time.monotonic() - began < 20
    assert site.pointer is None
    progress = json.loads((site.work / "progress" / "linear.json").read_text())
    assert (progress["step"], progress["tries"]) == ("trying", 0), "that does not count"


def test_a_store_that_cannot_be_made_is_one_line(site: Any, make: Any) -> None:
    made = make(1.0)
    (site.work / "store").write_text("in the way")
    site.want(*made)
    assert site.updates.advance() == pytest.approx(5, abs=0.1)
    assert site.problem.startswith("cannot make the model store (")
    (site.work / "store").unlink()
    advance(site)
    assert site.pointer.active.digest == made[1]
    assert site.problem == ""


def test_a_neo_model_is_off_until_it_is_asked_for(site: Any, make: Any) -> None:
    both = (
        Variant(runtime="onnxruntime", path="model.onnx"),
        Variant(runtime="dlr", path="neo", architecture="x86_64"),
    )
    fixed = {
        "inputs": (Tensor(name="x", dtype="float32", shape=(3, 4)),),
        "outputs": (Tensor(name="y", dtype="float32", shape=(3, 2)),),
        "more": {"neo/compiled.so": b"x"},
    }
    made = make(1.0, variants=both[1:], **fixed)
    site.want(*made)
    site.updates.advance()
    assert "no variant for this machine and these runtimes: it has dlr for x86_64" in site.problem
    site.want(*made, settings={"runtimes": "onnxruntime dlr"})
    site.updates.advance()
    assert "running a Neo model needs dlr" in site.problem, "another environment is another try"
    assert "trying again" in site.problem
    either = make(2.0, variants=both, **fixed)
    site.want(*either, settings={"runtimes": "onnxruntime dlr"})
    site.updates.advance()
    assert (site.pointer.active.digest, site.pointer.active.variant) == (either[1], 0)


def _pair() -> tuple[str, str]:
    private = ed25519.Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return base64.b64encode(private.private_bytes_raw()).decode(), base64.b64encode(public).decode()


def test_what_served_before_there_were_keys_is_held_against_them(site: Any, make: Any) -> None:
    (secret, public), made = _pair(), make(1.0)
    site.want(*made)
    site.updates.advance()
    assert site.pointer.active.digest == made[1]
    _settle(site)
    site.want(*made, settings={"keys": {"release": public}})
    site.updates.advance()
    told = site.health.problems["model.linear.keys"]
    assert told.startswith("1.0.0, which serves, came before the keys: the package is not signed")
    assert site.pointer.active.digest == made[1], "it serves on"
    site.want(*make(2.0, version="2.0.0", key=secret), settings={"keys": {"release": public}})
    site.updates.advance()
    advance(site)
    assert "model.linear.keys" not in site.health.problems


def test_keys_rotate_expire_and_are_for_some_models(site: Any, make: Any) -> None:
    (old_secret, old), (_, new) = _pair(), _pair()
    made = make(1.0, key=old_secret)
    site.want(*made, settings={"keys": {"new": new}})
    site.updates.advance()
    assert "no key fits among: new" in site.problem
    site.want(*made, settings={"keys": {"new": new, "old": {"key": old, "until": "2020-01-01"}}})
    site.updates.advance()
    assert "old expired at 2020-01-01" in site.problem
    site.want(*made, settings={"keys": {"new": new, "old": {"key": old, "for": ["other"]}}})
    site.updates.advance()
    assert "old is for other" in site.problem
    site.want(*made, settings={"keys": {"new": new, "old": {"key": old, "until": "2999-01-01", "for": ["linear"]}}})
    site.updates.advance()
    assert site.problem == "", "what was refused for its key is looked at again when the keys change"
    assert site.pointer.active.digest == made[1]
    reasons = [json.loads(line).get("reason") for line in (site.work / "history.jsonl").read_text().splitlines()]
    assert [reason for reason in reasons if reason] == ["signature", "key", "key"]


def _order(site: Any, command: str, version: str = "", role: str = "engineer") -> None:
    words = {"command": command, "name": "linear", "version": version, "by": "Ana", "role": role}
    site.updates.command("", json.dumps(words).encode())
    advance(site)


def _settle(site: Any) -> None:
    """Ten runs that come out well, then a look."""
    with site.user() as user:
        user.used(user.current, 10)
    advance(site)


def test_a_step_back_takes_a_word(site: Any, make: Any) -> None:
    first, second = make(1.0), make(2.0, version="1.10.0")
    site.commit(*first)
    site.commit(*second)
    site.want(*make(3.0, version="1.9.9"))
    site.updates.advance()
    assert "the version is older: 1.9.9 after 1.10.0; set models.linear.older: allowed" in site.problem
    site.want("default")
    site.updates.advance()
    site.again()
    site.want(*make(3.0, version="1.9.9"))
    site.updates.advance()
    assert "the version is older" in site.problem, "not by way of the default, nor after a restart"
    site.want(*make(3.0, version="1.9.9"), older="allowed")
    site.updates.advance()
    assert site.pointer.active.version == "1.9.9"
    assert site.pointer.highest == "1.10.0", "the mark stays"


def test_probation_alone_does_not_raise_the_mark(site: Any, make: Any) -> None:
    site.commit(*make(1.0))
    site.want(*make(2.0, version="3.0.0"))
    site.updates.advance()
    assert (site.pointer.active.version, site.pointer.highest) == ("3.0.0", "1.0.0")
    site.want(*make(4.0, version="2.0.0"))
    site.updates.advance()
    assert (site.pointer.active.version, site.problem) == ("2.0.0", "")
    assert site.pointer.previous.version == "1.0.0"


def test_an_engineer_holds_a_version(site: Any, make: Any) -> None:
    made = [make(float(n), version=f"{n}.0.0") for n in (1, 2, 3, 4)]
    for each in made:
        site.commit(*each)
    here = {path.name for path in (site.work / "store" / "linear").iterdir()}
    assert here == {"pointer.json", *(digest for _, digest in made[1:])}, "three stay on the disk"
    _order(site, "hold", "1.0.0")
    assert "no such version to hold (linear 1.0.0): committed versions on the disk: 4.0.0, 3.0.0" in str(
        site.health.problems["model.linear.hold"]
    )
    _order(site, "hold", "2.0.0", role="operator")
    assert site.pointer.active.version == "4.0.0"
    _order(site, "hold", "2.0.0")
    assert (site.pointer.active.version, site.pointer.state) == ("2.0.0", "probation")
    _settle(site)
    assert (site.pointer.state, site.pointer.highest) == ("committed", "4.0.0")
    site.again()
    site.want(*made[3])
    site.updates.advance()
    assert site.pointer.active.version == "2.0.0", "a restart does not end it"
    _order(site, "release")
    assert site.pointer.active.version == "4.0.0"
    _settle(site)
    _order(site, "hold", "3.0.0")
    assert site.pointer.active.version == "3.0.0"
    site.want(*made[3], attempt=2)
    site.updates.advance()
    assert site.pointer.active.version == "4.0.0", "another configuration ends it"
    history = [json.loads(line) for line in (site.work / "history.jsonl").read_text().splitlines()]
    assert [(line["held"], line["by"]) for line in history if "held" in line] == [("2.0.0", "Ana"), ("3.0.0", "Ana")]


def test_a_damaged_pointer_loses_no_model(site: Any, make: Any) -> None:
    made = make(1.0)
    site.commit(*made)
    (site.work / "store" / "linear" / "pointer.json").write_bytes(b"\0" * 100)
    site.again()
    site.want("file:/nowhere", "0" * 64)
    site.updates.advance()
    assert (site.pointer.active.digest, site.pointer.state) == (made[1], "committed")
    with site.user() as user:
        assert user.current.origin == "active"
