"""Each reason of the closed list is given by something that happens."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from edgeloop.clock import NS
from edgeloop.models import archive, trial
from edgeloop.models.errors import ModelRefused, Reason
from edgeloop.models.head import Head
from edgeloop.models.manifest import Provenance, Variant
from edgeloop.models.package import unpack
from edgeloop.models.proof import Prover
from edgeloop.models.report import Report, Usual
from edgeloop.models.runners import Options
from edgeloop.models.store import Pointer, Ref
from model_update.configuration import Probation
from model_update.probation import judge

NEW = Ref(digest="b" * 64, version="2.0.0")
POINTER = Pointer(name="m", generation=4, active=NEW, previous=None, state="probation", since=1000 * NS)


def of_probation(**changes: Any) -> Reason | None:
    fields: dict[str, Any] = {"generation": 4, "digest": NEW.digest, "inferences": 200, **changes}
    report = Report(component="io.edgeloop.Camera", name="m", time=1200 * NS, **fields)
    return judge(POINTER, [report], 1200 * NS, Probation())[2]


def of_trial(
    made: tuple[Path, str], into: Path, task: trial.Task = trial.DEFAULT, timeout: float = 60
) -> trial.Outcome:
    package = unpack(made[0], into)
    return Prover().prove(package, package.manifest.variants[0], task, timeout)


def test_each_reason_is_given(site: Any, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, other = (ed25519.Ed25519PrivateKey.generate() for _ in range(2))
    secret, public, strange = (
        base64.b64encode(data).decode()
        for data in (
            private.private_bytes_raw(), private.public_key().public_bytes_raw(), other.public_key().public_bytes_raw()
        )
    )  # fmt: skip
    noise, bad = tmp_path / "noise.tar", tmp_path / "bad.tar"
    noise.write_bytes(b"noise" * 1000)
    files = {"manifest.json": b"{}", "golden.npz": b""}
    signed, plain = make(2.0, key=secret), make(1.0)
    def quick(prover: Any, package: Any, variant: Any, task: Any, timeout: float) -> trial.Outcome:
        try:
            return trial.attempt(package.folder, 0, task)
        except ModelRefused as error:
            return trial.Outcome(error=str(error), reason=error.reason, final=True)

    monkeypatch.setattr(Prover, "prove", quick)
    site.commit(*make(9.0, version="1.0.0"))
    wishes: list[tuple[tuple[Path, str], dict[str, Any], dict[str, Any]]] = [
        ((noise, archive.hashlib.sha256(noise.read_bytes()).hexdigest()), {}, {}),
        ((bad, archive.write(bad, files)), {}, {}),
        (make(3.0, more={"big": bytes(100_000)}), {"limit": "64 KiB"}, {}),
        (plain, {"keys": {"release": public}}, {}),
        (signed, {"keys": {"release": strange}}, {}),
        (signed, {"keys": {"release": {"key": public, "until": "2020-01-01"}}}, {}),
        (make(1.0, name="other"), {}, {}),
        (make(4.0, version="0.9.0"), {}, {}),
        (make(8.0, variants=[Variant(runtime="onnxruntime", path="model.onnx", architecture="armv7l")]), {}, {}),
        (make(2.0, says=3.0), {}, {}),
        (make(5.0, model=b"no model"), {}, {}),
        (make(6.0), {}, {"latency": "1 ns"}),
        (make(7.0, provenance=Provenance(made_on="press-8")), {}, {}),
    ]
    for made, settings, more in wishes:
        site.want(*made, settings=settings, **more)
        site.updates.advance()
    history = [json.loads(line) for line in (site.work / "history.jsonl").read_text().splitlines()]
    given = [line["reason"] for line in history if "reason" in line]
    assert given == [
        "form", "manifest", "size", "unsigned", "signature", "key", "name", "older", "machine", "golden", "load",
        "latency", "origin",
    ]  # fmt: skip
    monkeypatch.undo()
    headed = make(7.0, schema=2, head=Head(decoder="classification", roles={"scores": "y"}))
    outcomes = [
        of_trial(plain, tmp_path / "u", timeout=0.01),
        of_trial(plain, tmp_path / "u", trial.Task(options=Options(memory=1 << 20), memory=40 << 20)),
        of_trial(headed, tmp_path / "u"),
    ]
    told = {outcome.reason for outcome in outcomes}
    told |= {of_probation(fate="crashed"), of_probation(fate="waiting", reason="x"), of_probation(failures=50)}
    told |= {of_probation(fate="trying")}
    before = Usual(said={"pass": 99, "fail": 1}, ms=1.0)
    told |= {of_probation(fate="loaded", said={"pass": 9, "fail": 191}, before=before)}
    assert of_probation(fate="loaded", ms=10.0, before=before) is Reason.LATENCY
    assert {*given, *(reason for reason in told if reason)} == set(Reason), outcomes


def test_a_trial_has_no_network_where_the_kernel_lets_it(make: Any, tmp_path: Path) -> None:
    try:
        alone = subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        pytest.skip("no unshare here")
    outcome = of_trial(make(1.0), tmp_path / "u")
    assert (outcome.error, outcome.network) == ("", not alone)
