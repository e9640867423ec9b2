"""Keys, signatures, comparing and publishing, as typed."""

from __future__ import annotations

import base64
import importlib.util
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from edgeloop.config.load import convert
from edgeloop.models.package import unpack
from edgeloop_tools.cli import main
from edgeloop_tools.model import publish
from model_update.configuration import Configuration

_spec = importlib.util.spec_from_file_location(
    "linear_model", Path(__file__).parents[2] / "runtime" / "models" / "conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
linear_model = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(linear_model)
make = linear_model.make


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
    client = boto3.client("s3")
    client.create_bucket(Bucket="releases", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield client
    server.stop()


def test_from_keygen_to_verified(make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stem, (path, before) = tmp_path / "release", make(1.0)
    assert main(["model", "keygen", "-o", str(stem)]) == 0
    key, public = tmp_path / "release.key", tmp_path / "release.pub"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    configured = capsys.readouterr().out
    assert public.read_text().strip() in configured
    assert key.read_text().splitlines()[1] not in configured, "the private key is not shown"
    assert main(["model", "keygen", "-o", str(stem)]) == 1, "a key is never written over"
    assert main(["model", "verify", str(path), "--key", str(public)]) == 1
    assert "not signed" in capsys.readouterr().err
    assert main(["model", "sign", str(path), "--key", str(public)]) == 1
    capsys.readouterr()
    assert main(["model", "sign", str(path), "--key", str(key)]) == 0
    assert before not in capsys.readouterr().out, "signing changes the digest"
    assert main(["model", "verify", str(path), "--key", str(public), "--try"]) == 0
    said = capsys.readouterr().out
    assert "signed by release" in said
    assert "model.onnx here: " in said
    assert main(["model", "keygen", "-o", str(tmp_path / "other")]) == 0
    assert main(["model", "verify", str(path), "--key", str(tmp_path / "other.pub")]) == 1
    assert "no key fits" in capsys.readouterr().err


def test_openssl_reads_the_key_and_its_signature(make: Any, tmp_path: Path) -> None:
    """Somebody else's Ed25519 agrees: key, public key and signature."""
    main(["model", "keygen", "-o", str(tmp_path / "release")])
    path, _ = make(1.0)
    main(["model", "sign", str(path), "--key", str(tmp_path / "release.key")])
    folder = unpack(path, tmp_path / "out").folder

    def openssl(*words: str) -> bytes:
        done = subprocess.run(["openssl", *words], capture_output=True, check=True)
        return done.stdout

    try:
        der = openssl("pkey", "-in", str(tmp_path / "release.key"), "-pubout", "-outform", "DER")
    except FileNotFoundError:
        pytest.skip("no openssl here")
    assert base64.b64encode(der[-32:]).decode() == (tmp_path / "release.pub").read_text().strip()
    (tmp_path / "pub.der").write_bytes(der)
    words = ["-pubin", "-inkey", str(tmp_path / "pub.der"), "-keyform", "DER", "-rawin"]
    files = ["-in", str(folder / "manifest.json"), "-sigfile", str(folder / "manifest.sig")]
    assert b"Verified Successfully" in openssl("pkeyutl", "-verify", *words, *files)


def test_diff(make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = make(1.0, metrics={"recall": 0.9})[0], make(2.0, version="1.1.0", metrics={"recall": 0.95})[0]
    assert main(["model", "diff", str(first), str(first)]) == 0
    assert capsys.readouterr().out == "nothing differs\n"
    assert main(["model", "diff", str(first), str(second)]) == 0
    lines = capsys.readouterr().out
    assert "metrics.recall: 0.9 → 0.95 (+0.05)" in lines
    assert 'version: "1.0.0" → "1.1.0"' in lines


def test_a_version_that_is_published_never_changes(
    make: Any, s3: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["model", "keygen", "-o", str(tmp_path / "release")])
    path, _ = make(1.0)
    to = "s3://releases/line7"
    assert main(["model", "publish", str(path), "--to", to]) == 1
    assert "not signed" in capsys.readouterr().err
    main(["model", "sign", str(path), "--key", str(tmp_path / "release.key")])
    for place in (to, str(tmp_path / "shelf")):
        assert main(["model", "publish", str(path), "--to", place]) == 0
        assert main(["model", "publish", str(path), "--to", place]) == 0
        assert "there already" in capsys.readouterr().out
        other, _ = make(2.0)
        assert main(["model", "publish", str(other), "--to", place, "--unsigned"]) == 1
        assert "a version never changes" in capsys.readouterr().err
        for version in ("1.2.0", "1.2.10", "1.2.9", "2.0.0-rc1"):
            more, digest = make(3.0, version=version)
            assert main(["model", "publish", str(more), "--to", place, "--unsigned"]) == 0
        found = publish.resolve("linear", place, "1.2.*")
        assert found.version == publish.resolve("linear", place, "latest").version == "1.2.10"
        assert publish.resolve("linear", place, "2.0.0-rc1").digest == digest
        entry = {"uri": found.uri, "digest": found.digest}
        assert convert({"models": {"linear": entry}}, Configuration).models["linear"].sha256 == found.digest
        with pytest.raises(Exception, match=r"nothing there is linear 3\.\*"):
            publish.resolve("linear", place, "3.*")


def test_deploy_writes_the_digest_of_the_version_wanted(make: Any, tmp_path: Path) -> None:
    for version in ("1.2.0", "1.2.10", "1.3.0"):
        path, _ = make(1.0, version=version)
        publish.publish(path, str(tmp_path / "shelf"), unsigned=True)
    entry = {"uri": (tmp_path / "shelf").as_uri(), "version": "1.2.*", "attempt": 2}
    convert({"models": {"linear": entry}}, Configuration)
    found = publish.resolved({MODELS: {"models": {"linear": entry}, "keep": 2}, "other": {}})
    model = found[MODELS]["models"]["linear"]
    assert model["uri"].endswith("/shelf/linear-1.2.10.tar")
    assert (found[MODELS]["keep"], model["attempt"], "version" in model) == (2, 2, False)
    assert convert({"models": {"linear": model}}, Configuration).models["linear"].sha256
    with pytest.raises(Exception, match="neither \"latest\" nor"):
        convert({"models": {"linear": {**entry, "version": "newest"}}}, Configuration)


MODELS = "io.edgeloop.ModelUpdate"
