"""Model packages: archives, and the folders that they are unpacked into, named by the archive's SHA-256.

A folder is checked by making its archive's digest again: one byte changed, added or missing, and it is refused.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec

from edgeloop.durable import sync_folder
from edgeloop.models import archive, golden, signature
from edgeloop.models.errors import ModelError, ModelRefused, Reason
from edgeloop.models.manifest import GOLDEN, LARGEST, MANIFEST, SIGNATURE, File, Manifest, Variant, decode

LIMIT: Final = 4 << 30
"""Bytes of a package, where the caller sets none."""


@dataclass(frozen=True, slots=True)
class Package:
    """An unpacked package whose bytes were checked."""

    folder: Path
    digest: str
    manifest: Manifest

    def path(self, variant: Variant) -> Path:
        """The real path of a variant's file or folder; no other package ever has it."""
        return (self.folder / variant.path).resolve()

    def cases(self) -> list[golden.Case]:
        """The golden set. Raises ModelRefused."""
        return golden.read(self.folder / GOLDEN, self.manifest)


def listed(files: Mapping[str, bytes | Path]) -> dict[str, File]:
    """`files` of a manifest."""
    result = {}
    for name, content in files.items():
        data = content.read_bytes() if isinstance(content, Path) else content
        result[name] = File(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    return result


def pack(path: Path, manifest: Manifest, files: Mapping[str, bytes | Path], key: str | None = None) -> str:
    """Writes a package and returns its digest. key: a private key to sign with.

    Raises ModelRefused where manifest and files differ.
    """
    try:
        manifest = decode(manifest.encode())
    except msgspec.ValidationError as error:
        raise ModelRefused("the manifest is not valid", Reason.MANIFEST, where=manifest.name, why=str(error)) from None
    if listed(files) != manifest.files:
        raise ModelRefused(
            "the manifest lists other files than these", Reason.FORM, where=manifest.name, mend="use `listed`"
        )
    whole: dict[str, bytes | Path] = {**files, MANIFEST: manifest.encode()}
    if key is not None:
        whole[SIGNATURE] = signature.sign(manifest.encode(), key)
    return archive.write(path, whole)


class _Hashing:
    """A file that hashes what is read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.hash.update(data)
        return data


def unpack(
    path: Path,
    into: Path,
    digest: str | None = None,
    *,
    keys: Mapping[str, str | signature.Key] = {},
    limit: int = LIMIT,
) -> Package:
    """Unpacks into `into/<digest>`, durably and in one step, unless that is there and whole.

    digest: what the archive must have. keys: public keys by id, of which one must have signed (empty: no signature is
    asked for). limit: bytes of the contents. Raises ModelRefused for a package that is no good, ModelError where the
    file cannot be read, is another one (yet), or the disk is full.
    """
    where = str(path)
    if digest is not None and (found := _file_digest(path)) != digest:
        raise _another(where, found, digest)
    scratch = into / f".{os.getpid()}.{path.name}.new"
    try:
        into.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
        with open(path, "rb", buffering=1 << 20) as file:
            size = os.fstat(file.fileno()).st_size
            room(into, size)
            scratch.mkdir(mode=0o700)
            hashing = _Hashing(file)
            have: dict[str, File] = {}
            for member in archive.members(cast(BinaryIO, hashing), limit, where):
                have[member.name] = _store(member, scratch)
        found = hashing.hash.hexdigest()
        if digest is not None and found != digest:
            raise _another(where, found, digest)
        _check(scratch, have, keys, where)
        _sync_folders(scratch)
        target = into / found
        if target.exists():
            try:
                return open_package(target, keys=keys)
            except ModelRefused:
                shutil.rmtree(target)
        os.rename(scratch, target)
        sync_folder(into)
        return Package(target, found, decode((target / MANIFEST).read_bytes()))
    except OSError as error:
        why = error.strerror or str(error)
        raise ModelError("cannot unpack the model", where=error.filename or where, why=why) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def open_package(folder: Path, *, keys: Mapping[str, str | signature.Key] = {}) -> Package:
    """An unpacked package, checked whole. Raises ModelRefused, or ModelError where it is not there."""
    try:
        files: dict[str, bytes | Path] = {}
        for top, folders, names in os.walk(folder, onerror=_raise):
            for name in (*folders, *names):
                path = Path(top, name)
                if path.is_symlink() or not (path.is_dir() or path.is_file()):
                    raise ModelRefused(
                        "the package's folder was changed", Reason.FORM, where=str(path), why="it is no plain file"
                    )
            files |= {str(Path(top, name).relative_to(folder)): Path(top, name) for name in names}
        if MANIFEST not in files or archive.digest(files) != folder.name:
            raise ModelRefused("the package's folder was changed", Reason.FORM, where=str(folder), mend="delete it")
        data = (folder / MANIFEST).read_bytes()
        if keys:
            signature.verify(data, _optional(folder / SIGNATURE), keys, lambda: decode(data).name)
        return Package(folder.resolve(), folder.name, decode(data, str(folder / MANIFEST)))
    except OSError as error:
        why = error.strerror or str(error)
        raise ModelError("cannot read the model", where=error.filename or str(folder), why=why) from error


def signed_by(folder: Path, keys: Mapping[str, str | signature.Key]) -> str:
    """The id of the key that signed an unpacked package; "" where none of these did, whatever it is trusted with."""
    try:
        plain = {name: key if isinstance(key, str) else key.key for name, key in keys.items()}
        return signature.verify((folder / MANIFEST).read_bytes(), _optional(folder / SIGNATURE), plain)
    except (OSError, ModelError):
        return ""


def room(folder: Path, size: int) -> None:
    """Raises ModelError where a disk has no room for `size` bytes and a little more."""
    free = shutil.disk_usage(folder).free
    if free < size + (8 << 20):
        why = f"{size:,} B are needed, {free:,} B are free"
        raise ModelError("no room for the model", where=str(folder), why=why, mend="free some space")


def _another(where: str, found: str, digest: str) -> ModelError:
    return ModelError("the package is another one", where=where, why=f"its digest is {found[:12]}…, not {digest[:12]}…")


def _file_digest(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        why = error.strerror or str(error)
        raise ModelError("cannot read the model package", where=str(path), why=why) from error


def _store(member: archive.Member, folder: Path) -> File:
    path = folder / member.name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    hashing = hashlib.sha256()
    with open(path, "xb") as out:
        for chunk in member.chunks:
            out.write(chunk)
            hashing.update(chunk)
        out.flush()
        os.fsync(out.fileno())
    return File(sha256=hashing.hexdigest(), size=member.size)


def _check(folder: Path, have: dict[str, File], keys: signature.Keys, where: str) -> None:
    if MANIFEST not in have or have[MANIFEST].size > LARGEST:
        raise ModelRefused("the package has no manifest", Reason.FORM, where=where)
    data = (folder / MANIFEST).read_bytes()
    if keys:
        signature.verify(data, _optional(folder / SIGNATURE), keys, lambda: decode(data, where).name)
    manifest = decode(data, f"{MANIFEST} of {where}")
    rest = {name: file for name, file in have.items() if name not in (MANIFEST, SIGNATURE)}
    if rest != manifest.files:
        odd = sorted(n for n in {*rest, *manifest.files} if rest.get(n) != manifest.files.get(n))
        raise ModelRefused(
            "the package holds other files than its manifest says", Reason.FORM, where=where, why=", ".join(odd[:3])
        )
    if SIGNATURE in have and have[SIGNATURE].size != signature.SIZE:
        raise ModelRefused("the signature of the package is no signature", Reason.FORM, where=where)


def _optional(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _raise(error: OSError) -> Any:
    raise error


def _sync_folders(folder: Path) -> None:
    for path in (folder, *_folders(folder)):
        sync_folder(path)


def _folders(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_dir())
