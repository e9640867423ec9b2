"""The configuration of ModelUpdate."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from edgeloop.config.identifiers import Id
from edgeloop.config.quantities import Duration, Size
from edgeloop.health import Metrics
from edgeloop.models.signature import Key, raw

DEFAULT: Final = "default"
"""The uri that lets the model serve that came with the component."""
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_URI = re.compile(r"file:/.+|s3://[^/]+/.+|https://[^/@?#]+/[^?#]+")
_REGISTRY = re.compile(r"sagemaker:[a-zA-Z0-9-]+")
_NO_URI: Final = 'neither "file:/…" nor "s3://bucket/key" nor "https://…"'
_VERSION = re.compile(r"latest|[0-9]+\.\*|[0-9]+\.[0-9]+\.(?:\*|[0-9]+[-+0-9A-Za-z.]*)")
_RUNTIMES: Final = {"onnxruntime", "dlr"}


def _digits(digest: str) -> str:
    """Of a SHA-256 as people write it; nothing where it is none.

    >>> _digits("sha256:" + 64 * "0") == 64 * "0", _digits("0815")
    (True, '')
    """
    found = _DIGEST.fullmatch(digest)
    return found[1] if found else ""


class Shadow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A candidate that is run beside the model that serves, on a share of what cameras see."""

    uri: Annotated[str, Meta(title="URI", description='"file:/…", "s3://bucket/key" or "https://…" of the package')]
    digest: Annotated[str, Meta(title="Digest", description='SHA-256 of the package, "sha256:" before it or not')]
    share: Annotated[
        float, Meta(title="Share", description="of the pictures, when their verdicts are out", gt=0, le=1)
    ] = 0.2

    def __post_init__(self) -> None:
        if not _URI.fullmatch(self.uri):
            raise ValueError(f"{self.uri!r} is {_NO_URI}")
        if not self.sha256:
            raise ValueError("digest must be the 64 hexadecimal digits of the package's SHA-256")

    @property
    def sha256(self) -> str:
        return _digits(self.digest)


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The version of one model that is to be active."""

    uri: Annotated[
        str,
        Meta(
            title="URI",
            description='"file:/…", "s3://bucket/key" or "https://…" of the package; "default": that which came along',
        ),
    ]
    digest: Annotated[str, Meta(title="Digest", description='SHA-256 of the package, "sha256:" before it or not')] = ""
    version: Annotated[
        str,
        Meta(
            title="Version",
            description='instead of a digest, where uri is a folder or prefix: "latest", "1.2.*"; deploy resolves it',
        ),
    ] = ""
    latency: Annotated[
        Duration, Meta(title="Latency", description="what one run may take when it is tried; 0: any time")
    ] = Duration("0 s")
    memory: Annotated[
        Size, Meta(title="Memory", description="data that the process trying it may have", extra={"ge": "128 MiB"})
    ] = Size("1 GiB")
    attempt: Annotated[
        int, Meta(title="Attempt", description="raise it to try a package again that was refused", ge=1)
    ] = 1
    older: Annotated[
        Literal["refused", "allowed"],
        Meta(title="Older", description="a version below the highest that was ever committed here"),
    ] = "refused"

    taught: Annotated[
        Literal["", "allowed", "refused"],
        Meta(title="Taught", description="what this device was taught itself; empty: allowed while no key is named"),
    ] = ""
    shadow: Annotated[
        Shadow | None, Meta(title="Shadow", description="a candidate that is compared on this device's own input")
    ] = None

    def __post_init__(self) -> None:
        if self.uri == DEFAULT:
            return
        if not _URI.fullmatch(self.uri) and not (self.version and _REGISTRY.fullmatch(self.uri)):
            raise ValueError(f"{self.uri!r} is {_NO_URI} nor \"{DEFAULT}\"")
        if self.version and not self.digest:
            if not _VERSION.fullmatch(self.version):
                raise ValueError(f'version: {self.version!r} is neither "latest" nor like 1.2.* or 1.2.3')
            return
        if not self.sha256:
            raise ValueError("digest must be the 64 hexadecimal digits of the package's SHA-256")

    @property
    def sha256(self) -> str:
        return _digits(self.digest)


class Probation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new model must show before it stays."""

    inferences: Annotated[int, Meta(title="Inferences", description="runs that came out well", ge=0)] = 100
    time: Annotated[Duration, Meta(title="Time", description="least time; idleness prolongs it")] = Duration("1 min")
    load: Annotated[
        Duration,
        Meta(title="Load", description="time that a component that is alive may take to load it", extra={"ge": "1 s"}),
    ] = Duration("2 min")
    failures: Annotated[float, Meta(title="Failures", description="part of the runs that may fail", ge=0, le=1)] = 0.01
    slower: Annotated[
        float, Meta(title="Slower", description="times what a run of the model before took; 0: any", ge=0)
    ] = 4.0
    shift: Annotated[
        float,
        Meta(title="Shift", description="by how much the share that passes may fall; 1: all", ge=0, le=1),
    ] = 0.4


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    metrics: Metrics = ""
    models: Annotated[
        dict[Id, Model], Meta(title="Models", description="what is to be active, by the model's name")
    ] = {}
    keys: Annotated[
        dict[Id, str | Key],
        Meta(title="Keys", description="public Ed25519 keys in base64; where there are any, one must have signed"),
    ] = {}
    desired: Annotated[
        Literal["", "topic", "shadow"],
        Meta(
            title="Desired",
            description="what IoT Core wants counts too: the topic edgeloop/<thing>/models, or the named shadow "
            "edgeloop-models (classic alone); needs keys",
        ),
    ] = ""
    runtimes: Annotated[
        str, Meta(title="Runtimes", description="words among onnxruntime and dlr (a worker process, x86-64)")
    ] = "onnxruntime"
    probation: Annotated[Probation, Meta(title="Probation", description="before a new model stays")] = Probation()
    keep: Annotated[
        int, Meta(title="Keep", description="committed versions of a model that stay on the disk", ge=1, le=16)
    ] = 3
    limit: Annotated[
        Size, Meta(title="Limit", description="size of a package", extra={"ge": "64 KiB", "le": "8 GiB"})
    ] = Size("512 MiB")
    bandwidth: Annotated[
        Size, Meta(title="Bandwidth", description="bytes a second that fetching may take; 0: all there is")
    ] = Size("0 B")
    timeout: Annotated[
        Duration, Meta(title="Timeout", description="of loading and trying one variant", extra={"ge": "1 s"})
    ] = Duration("1 min")

    def __post_init__(self) -> None:
        if unknown := set(self.allowed) - _RUNTIMES:
            raise ValueError(f"runtimes: {', '.join(sorted(unknown))}; words among {', '.join(sorted(_RUNTIMES))}")
        for name, key in self.keys.items():
            try:
                raw(key.key if isinstance(key, Key) else key)
            except ValueError as error:
                raise ValueError(f"keys.{name}: {error}") from None

    @property
    def allowed(self) -> tuple[str, ...]:
        return tuple(self.runtimes.replace(",", " ").split())
