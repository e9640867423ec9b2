"""Packages where devices find them: a folder, or a prefix of a bucket. A version that is there never changes."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from edgeloop.errors import EdgeloopError
from edgeloop.models.manifest import SIGNATURE, Manifest
from edgeloop.models.package import unpack
from edgeloop.models.versions import NUMBER, rank

DIGEST: Final = "edgeloop-digest"
"""Of an object's metadata: the SHA-256 of the package."""


@dataclass(frozen=True, slots=True)
class Published:
    version: str
    uri: str
    digest: str


def publish(path: Path, to: str, *, unsigned: bool = False) -> tuple[Manifest, Published, bool]:
    """Puts a package below a folder or `s3://bucket/prefix`; False where it was there, byte for byte.

    Raises EdgeloopError where it is not signed, or its version is there with other bytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        package = unpack(path, Path(folder))
        if not unsigned and not (package.folder / SIGNATURE).exists():
            mend = "sign it with `edgeloop model sign`, or say --unsigned"
            raise EdgeloopError("the package is not signed", where=str(path), mend=mend)
    manifest, digest = package.manifest, package.digest
    place = place_of(to)
    file = f"{manifest.name}-{manifest.version}.tar"
    there = place.digest(file)
    if there not in ("", digest):
        why = f"its digest is {there[:12]}…, not {digest[:12]}…"
        mend = "a version never changes: give it another"
        raise EdgeloopError("this version is there with other bytes", where=place.uri(file), why=why, mend=mend)
    if not there:
        place.put(file, path, digest)
    return manifest, Published(manifest.version, place.uri(file), digest), not there


def resolve(name: str, uri: str, version: str) -> Published:
    """The newest version below a folder or prefix that is wanted: `latest`, `1.2.*`, `1.2.3`. Raises EdgeloopError."""
    place = place_of(uri)
    matched = []
    for file in place.files(f"{name}-"):
        found = file.removeprefix(f"{name}-").removesuffix(".tar")
        if file.endswith(".tar") and NUMBER.match(found) and wanted(found, version):
            matched.append(found)
    if not matched:
        why = f"nothing there is {name} {version}"
        raise EdgeloopError("no such version", where=uri, why=why, mend="publish it with `edgeloop model publish`")
    best = max(matched, key=rank)
    file = f"{name}-{best}.tar"
    return Published(best, place.uri(file), place.digest(file))


def resolved(components: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Components' configurations, with uri and digest of one package for each model that names a version. Raises
    EdgeloopError."""
    owner = "io.edgeloop.ModelUpdate"
    models = components.get(owner, {}).get("models", {})
    fixed = {}
    for name, model in models.items():
        if model.get("version") and not model.get("digest"):
            found = found_at(name, str(model["uri"]), str(model["version"]))
            rest = {key: value for key, value in model.items() if key != "version"}
            model = {**rest, "uri": found.uri, "digest": f"sha256:{found.digest}"}
        fixed[name] = model
    return components if fixed == models else {**components, owner: {**components[owner], "models": fixed}}


def found_at(name: str, uri: str, version: str) -> Published:
    """As `resolve`, or what SageMaker's Model Registry has approved. Raises EdgeloopError."""
    from edgeloop_tools.model import registry

    if uri.startswith(registry.SCHEME):
        return registry.resolve(uri.removeprefix(registry.SCHEME), name, version)
    return resolve(name, uri, version)


def wanted(version: str, pattern: str) -> bool:
    """
    >>> [wanted("1.2.9", p) for p in ("latest", "1.2.*", "1.*", "1.2.9", "1.2.1", "1.20.*")]
    [True, True, True, True, False, False]
    >>> wanted("1.2.9-rc1", "latest"), wanted("1.2.9-rc1", "1.2.9-rc1")
    (False, True)
    """
    if version == pattern:
        return True
    if "-" in version:
        return False
    return pattern == "latest" or (pattern.endswith(".*") and version.startswith(pattern[:-1]))


class Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def uri(self, file: str) -> str:
        return (self._path.absolute() / file).as_uri()

    def digest(self, file: str) -> str:
        path = self._path / file
        if not path.is_file():
            return ""
        with open(path, "rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()

    def put(self, file: str, source: Path, digest: str) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        fresh = self._path / f".{file}.new"
        fresh.write_bytes(source.read_bytes())
        fresh.replace(self._path / file)

    def files(self, begin: str) -> list[str]:
        return [path.name for path in self._path.glob(f"{begin}*")]


class Prefix:
    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3
        from botocore.config import Config

        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        settings = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard"})
        with self._speaking():
            self._s3: Any = boto3.client("s3", config=settings)

    def uri(self, file: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{file}"

    def digest(self, file: str) -> str:
        from botocore.exceptions import ClientError

        with self._speaking():
            try:
                answer = self._s3.head_object(Bucket=self._bucket, Key=self._prefix + file)
            except ClientError as error:
                if error.response["ResponseMetadata"].get("HTTPStatusCode") == 404:
                    return ""
                raise
            known = str(answer["Metadata"].get(DIGEST, ""))
            if re.fullmatch("[0-9a-f]{64}", known):
                return known
            body = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + file)["Body"]
            hashing = hashlib.sha256()
            while data := body.read(1 << 20):
                hashing.update(data)
            return hashing.hexdigest()

    def put(self, file: str, source: Path, digest: str) -> None:
        with self._speaking():
            more = {"Metadata": {DIGEST: digest}, "ContentType": "application/x-tar"}
            self._s3.upload_file(str(source), self._bucket, self._prefix + file, ExtraArgs=more)

    def files(self, begin: str) -> list[str]:
        found = []
        with self._speaking():
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + begin
            )
            for page in pages:
                found += [entry["Key"].removeprefix(self._prefix) for entry in page.get("Contents", ())]
        return found

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError) as error:
            where = f"s3://{self._bucket}/{self._prefix}"
            raise EdgeloopError("S3 does not do it", where=where, why=str(error)) from error


def place_of(uri: str) -> Folder | Prefix:
    """Raises EdgeloopError for what is neither a folder nor a prefix."""
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        return Prefix(parts.netloc, unquote(parts.path).strip("/"))
    if parts.scheme == "file":
        return Folder(Path(unquote(parts.path)))
    if not parts.scheme:
        return Folder(Path(uri))
    raise EdgeloopError("packages are in a folder or below s3://bucket/prefix", where=uri)
