from __future__ import annotations

import base64
import io
import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.models import ModelError, ModelRefused, archive, golden, signature
from edgeloop.models.manifest import MANIFEST, Variant, decode
from edgeloop.models.package import open_package, pack, unpack

NAMES = st.from_regex(r"[a-z0-9_][a-z0-9._-]{0,6}(/[a-z0-9_][a-z0-9._-]{0,6}){0,2}", fullmatch=True)
FILES = st.dictionaries(NAMES, st.binary(max_size=1500), min_size=1, max_size=5).filter(
    lambda files: not any(other.startswith(name + "/") for name in files for other in files)
)


def read(data: bytes, limit: int = 1 << 30) -> dict[str, bytes]:
    return {member.name: member.read(limit) for member in archive.members(io.BytesIO(data), limit)}


@given(FILES)
def test_what_goes_in_comes_out_and_tar_reads_it_too(files: dict[str, bytes]) -> None:
    data = b"".join(archive.blocks(files))
    assert read(data) == files
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == sorted(files)
        assert all(entry.isfile() and entry.mode == 0o644 and entry.mtime == 0 for entry in tar)


@given(FILES, st.data())
def test_any_changed_byte_is_refused_or_is_content(files: dict[str, bytes], data: st.DataObject) -> None:
    whole = b"".join(archive.blocks(files))
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    try:
        found = read(changed)
    except ModelRefused:
        return
    assert b"".join(archive.blocks(found)) == changed, "what passes is canonical"


@given(FILES, st.data())
def test_a_cut_archive_is_refused(files: dict[str, bytes], data: st.DataObject) -> None:
    whole = b"".join(archive.blocks(files))
    with pytest.raises(ModelRefused):
        read(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.binary(max_size=3000))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(ModelRefused, match="no model package"):
        read(noise)


def tar(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as out:
        for entry, content in entries:
            entry.size = len(content)
            out.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def plain(name: str, **changes: Any) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    for key, value in {"mode": 0o644, "mtime": 0, **changes}.items():
        setattr(entry, key, value)
    return entry


@pytest.mark.parametrize(
    "data",
    [
        tar((plain("../evil"), b"x")),
        tar((plain("/etc/passwd"), b"x")),
        tar((plain("a/../../b"), b"x")),
        tar((plain("a", type=tarfile.SYMTYPE, linkname="/etc/passwd"), b"")),
        tar((plain("a", type=tarfile.LNKTYPE, linkname="b"), b"")),
        tar((plain("a", type=tarfile.DIRTYPE), b"")),
        tar((plain("a", type=tarfile.CHRTYPE), b"")),
        tar((plain("a"), b"x"), (plain("a"), b"y")),
        tar((plain("b"), b"x"), (plain("a"), b"y")),
        tar((plain("a"), b"x"), (plain("a/b"), b"y")),
        tar((plain("a", mode=0o4755), b"x")),
        tar((plain("a", mtime=1), b"x")),
        tar((plain("a", uname="root"), b"x")),
        b"".join(archive.blocks({"a": b"x"})) + b"\0" * 512,
        b"".join(archive.blocks({"a": b"x"}))[:-1024] + b"\0" * 512 + b"\1" * 512,
        archive.header("a", 8 * 2**30 - 1),
    ],
)
def test_nothing_but_the_canonical_form_passes(data: bytes) -> None:
    with pytest.raises(ModelRefused):
        read(data)


def test_sizes_and_numbers_are_bounded() -> None:
    files: dict[str, bytes | Path] = {f"f{n:03}": b"" for n in range(257)}
    with pytest.raises(ModelRefused, match="too many files"):
        list(archive.blocks(files))
    with pytest.raises(ModelRefused, match="too large"):
        read(b"".join(archive.blocks({"a": b"x" * 600, "b": b"x" * 600})), 1000)


def test_the_same_contents_make_the_same_archive(make: Any, tmp_path: Path) -> None:
    path, digest = make(bias=2.0)
    first = path.read_bytes()
    assert make(bias=2.0)[1] == digest
    assert path.read_bytes() == first
    package = unpack(path, tmp_path / "models", digest)
    files: dict[str, bytes | Path] = {p.name: p for p in package.folder.iterdir()}
    assert archive.digest(files) == digest == package.folder.name
    assert stat.S_IMODE(package.folder.stat().st_mode) == 0o700
    assert [p.name for p in (tmp_path / "models").iterdir()] == [digest]


def test_a_folder_is_whole_or_refused(make: Any, tmp_path: Path) -> None:
    path, digest = make()
    folder = unpack(path, tmp_path / "models", digest).folder
    assert open_package(folder).manifest.name == "linear"
    for change in (
        lambda: (folder / "more").write_bytes(b""),
        lambda: (folder / "model.onnx").write_bytes(b"other"),
        lambda: (folder / "golden.npz").unlink(),
        lambda: (folder / "link").symlink_to("/etc/passwd"),
        lambda: os.mkfifo(folder / "pipe"),
    ):
        change()
        with pytest.raises(ModelRefused, match="folder was changed"):
            open_package(folder)
        assert open_package(unpack(path, tmp_path / "models", digest).folder), "made again"
    shutil.rmtree(folder)
    with pytest.raises(ModelError, match="No such file"):
        open_package(folder)


def test_another_digest_leaves_nothing(make: Any, tmp_path: Path) -> None:
    path, _ = make()
    with pytest.raises(ModelError, match="the package is another one"):
        unpack(path, tmp_path / "models", "0" * 64)
    assert not (tmp_path / "models").exists()
    with pytest.raises(ModelError, match="No such file") as caught:
        unpack(tmp_path / "absent", tmp_path / "models")
    assert not isinstance(caught.value, ModelRefused)


def repacked(path: Path, change: Any) -> Path:
    files = read(path.read_bytes())
    change(files)
    archive.write(path, dict(files))
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.pop(MANIFEST), "has no manifest"),
        (lambda f: f.update({MANIFEST: b"{}"}), "the manifest is not valid"),
        (lambda f: f.update({MANIFEST: f[MANIFEST].replace(b'"schema": 1', b'"schema": 3')}), r"schema"),
        (lambda f: f.update({MANIFEST: f[MANIFEST] + b" "}), "not in its canonical form"),
        (lambda f: f.update({MANIFEST: f[MANIFEST].replace(b'"linear"', b'"Linear 1"')}), r"\$.name"),
        (
            lambda f: f.update({MANIFEST: f[MANIFEST].replace(b'"golden": {}', b'"golden": {}, "x": 1')}),
            "unknown field",
        ),
        (lambda f: f.update({"model.onnx": b"other"}), "other files than its manifest says.*model.onnx"),
        (lambda f: f.update({"extra": b"x"}), "other files than its manifest says.*extra"),
        (lambda f: f.pop("model.onnx"), "other files than its manifest says.*model.onnx"),
        (lambda f: f.update({MANIFEST: b"[" * 5000}), "the manifest is not valid"),
        (lambda f: f.update({MANIFEST: b"\xff"}), "the manifest is not valid"),
        (lambda f: f.update({"manifest.sig": b"x"}), "no signature"),
    ],
)
def test_what_the_manifest_does_not_say_is_refused(make: Any, tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(ModelRefused, match=words):
        unpack(repacked(make()[0], change), tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_a_manifest_of_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(ModelRefused):
        decode(noise)


def keys() -> tuple[str, str]:
    private = ed25519.Ed25519PrivateKey.generate()
    return (
        base64.b64encode(private.private_bytes_raw()).decode(),
        base64.b64encode(private.public_key().public_bytes_raw()).decode(),
    )


def test_signatures(make: Any, tmp_path: Path) -> None:
    private, public = keys()
    _, other = keys()
    path, digest = make(key=private)
    package = unpack(path, tmp_path / "models", digest, keys={"old": other, "release": public})
    manifest = (package.folder / MANIFEST).read_bytes()
    assert signature.verify(manifest, (package.folder / "manifest.sig").read_bytes(), {"release": public}) == "release"
    with pytest.raises(ModelRefused, match="not valid: no key fits among: old"):
        open_package(package.folder, keys={"old": other})
    with pytest.raises(ModelRefused, match="not valid: no key fits"):
        unpack(path, tmp_path / "more", digest, keys={"old": other})
    with pytest.raises(ModelRefused, match="not signed"):
        unpack(make(bias=3.0)[0], tmp_path / "more", keys={"old": other})
    with pytest.raises(ValueError, match="32 bytes in base64"):
        signature.raw("short")


def test_the_signature_of_rfc_8032() -> None:
    """Section 7.1, test 2."""
    private = base64.b64encode(
        bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    ).decode()
    public = base64.b64encode(
        bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    ).decode()
    signed = signature.sign(b"\x72", private)
    assert signed.hex().startswith("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da")
    assert signature.verify(b"\x72", signed, {"rfc": public}) == "rfc"


def test_a_manifest_must_fit_its_files(make: Any, tmp_path: Path) -> None:
    path, _ = make()
    files: dict[str, bytes | Path] = dict(read(path.read_bytes()))
    about = decode(bytes(files.pop(MANIFEST)))  # type: ignore[arg-type]
    files["golden.npz"] = b"other"
    with pytest.raises(ModelRefused, match="lists other files"):
        pack(path, about, files)


def test_golden_sets_that_do_not_fit(make: Any, tmp_path: Path) -> None:
    package = unpack(make()[0], tmp_path / "models")
    path = tmp_path / "golden.npz"
    x, y = np.zeros((1, 2, 4), np.float32), np.zeros((1, 2, 2), np.float32)
    for arrays, words in (
        ({"input.x": x}, "output.0 are expected"),
        ({"input.x": x[..., :3], "output.0": y}, "x has shape"),
        ({"input.x": x.astype("f8"), "output.0": y}, "x has type float64"),
        ({"input.x": x[:0], "output.0": y[:0]}, "no cases"),
        ({"input.x": x, "output.0": np.concatenate([y, y])}, "number of cases"),
        ({"input.x": np.array([None]), "output.0": y}, "allow_pickle"),
    ):
        np.savez(path, **arrays)  # type: ignore[arg-type]
        with pytest.raises(ModelRefused, match=words):
            golden.read(path, package.manifest)
    np.savez_compressed(path, **{"input.x": x, "output.0": y})
    with pytest.raises(ModelRefused, match="compressed"):
        golden.read(path, package.manifest)
    path.write_bytes(b"PK\3\4 no zip")
    with pytest.raises(ModelRefused, match="golden set is not valid"):
        golden.read(path, package.manifest)


@pytest.mark.parametrize(("name", "machine"), [("arm64", "aarch64"), ("aarch64", "arm64"), ("amd64", "x86_64")])
def test_an_architecture_has_several_names(make: Any, tmp_path: Path, name: Any, machine: str) -> None:
    path, _ = make(variants=(Variant(runtime="onnxruntime", path="model.onnx", architecture=name),))
    about = unpack(path, tmp_path / "models").manifest
    assert about.candidates(("onnxruntime",), machine) == about.variants
    assert not about.candidates(("onnxruntime",), "armv7l")
    with pytest.raises(ModelRefused, match="architecture"):
        make(variants=(Variant(runtime="onnxruntime", path="model.onnx", architecture="x64"),))  # type: ignore[arg-type]
