"""What a component version consists of, whatever its version and wherever its files lie: for telling whether two are
the same."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

Content = dict[str, Any]


def content(recipe: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> Content:
    """Part → value. `files` gives the digests of artifacts; without, they are those that the recipe names.

    >>> ours = {"ComponentName": "a", "ComponentVersion": "1.0.0", "Manifests": [{"Artifacts": [{"Uri": "s3://b/a.pyz"}]}]}
    >>> theirs = {"componentName": "a", "Manifests": [{"Artifacts": [{"Uri": "s3://c/a.pyz", "Digest": "47DEQpj8HBSa+/"
    ...           "TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "Unarchive": "NONE"}], "Lifecycle": {}}], "Lifecycle": {}}
    >>> differences(content(ours, {"a.pyz": b""}), content(theirs))
    []
    >>> differences(content(ours, {"a.pyz": b"new"}), content(theirs))
    ['artifact a.pyz']
    """
    top = _keys(recipe)
    configuration = _keys(top.get("componentconfiguration") or {})
    found: Content = {
        "description": _text(top.get("componentdescription") or ""),
        "publisher": _text(top.get("componentpublisher") or ""),
        "configuration": _text(configuration.get("defaultconfiguration") or {}),
    }
    for name, entry in (top.get("componentdependencies") or {}).items():
        line = _keys(entry)
        found[f"dependency {name}"] = (
            " ".join(str(line.get("versionrequirement", "")).split()), str(line.get("dependencytype") or "HARD"),
        )  # fmt: skip
    for number, entry in enumerate(top.get("manifests") or (), 1):
        manifest = _keys(entry)
        found[f"platform of manifest {number}"] = _text(manifest.get("platform") or {})
        found[f"lifecycle of manifest {number}"] = _text(manifest.get("lifecycle") or {})
        names = []
        for given in manifest.get("artifacts") or ():
            artifact = _keys(given)
            name = PurePosixPath(str(artifact.get("uri", ""))).name
            digest = artifact.get("digest") if files is None else digest_of(files[name]) if name in files else None
            found[f"artifact {name}"] = (str(digest or "none"), str(artifact.get("unarchive") or "NONE").upper())
            names.append(name)
        found[f"artifacts of manifest {number}"] = tuple(sorted(names))
    return found


def differences(one: Content, other: Content) -> list[str]:
    """The parts in which they differ."""
    return sorted(part for part in one.keys() | other.keys() if one.get(part) != other.get(part))


def digest_of(data: bytes) -> str:
    """As Greengrass writes it in a recipe: SHA-256, base64."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _keys(value: Any) -> dict[str, Any]:
    return {str(key).lower(): entry for key, entry in value.items()} if isinstance(value, Mapping) else {}


def _text(value: Any) -> Any:
    """Scalars as texts, as one nucleus or service or another keeps them; keys in order."""
    if isinstance(value, Mapping):
        return {str(key): _text(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_text(entry) for entry in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
