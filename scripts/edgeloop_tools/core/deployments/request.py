"""What a local deployment asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgeloop_tools.core.control import ControlError

Failure = Literal["ROLLBACK", "DO_NOTHING"]


@dataclass(frozen=True, slots=True)
class Request:
    """components: root → version or requirement. reset: component → JSON pointers."""

    components: Mapping[str, str] = field(default_factory=dict)
    merge: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reset: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    recipe_dir: Path | None = None
    artifact_dir: Path | None = None
    failure: Failure = "DO_NOTHING"

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Request:
        """From the params of `deployment.create`. Raises ControlError."""
        folders = {key: Path(str(params[key])) for key in ("recipe_dir", "artifact_dir") if params.get(key)}
        failure = params.get("failure") or "DO_NOTHING"
        if failure not in ("ROLLBACK", "DO_NOTHING"):
            raise _wrong("failure", f"{failure!r} is neither ROLLBACK nor DO_NOTHING")
        for key, path in folders.items():
            if not path.is_dir():
                raise _wrong(key, f"there is no folder {path}")
        remove = params.get("remove") or []
        if not isinstance(remove, list):
            raise _wrong("remove", "it is no list of names")
        return cls(
            components={name: str(version) for name, version in _map(params, "components").items()},
            merge=_maps(params, "merge"),
            reset={name: _pointers(name, entry) for name, entry in _map(params, "reset").items()},
            remove=tuple(map(str, remove)),
            recipe_dir=folders.get("recipe_dir"),
            artifact_dir=folders.get("artifact_dir"),
            failure="ROLLBACK" if failure == "ROLLBACK" else "DO_NOTHING",
        )

    @classmethod
    def of_ipc(cls, request: Mapping[str, Any]) -> Request:
        """From the members of a CreateLocalDeploymentRequest."""
        updates = _maps(request, "componentToConfiguration")
        return cls.of(
            {
                "components": request.get("rootComponentVersionsToAdd"),
                "remove": request.get("rootComponentsToRemove"),
                "merge": {name: entry["MERGE"] for name, entry in updates.items() if entry.get("MERGE") is not None},
                "reset": {name: entry["RESET"] for name, entry in updates.items() if entry.get("RESET") is not None},
                "recipe_dir": request.get("recipeDirectoryPath"),
                "artifact_dir": request.get("artifactsDirectoryPath") or request.get("artifactDirectoryPath"),
                "failure": request.get("failureHandlingPolicy"),
            }
        )


def _map(params: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = params.get(key) or {}
    if not isinstance(value, Mapping):
        raise _wrong(key, "it is no map")
    return value


def _maps(params: Mapping[str, Any], key: str) -> dict[str, Mapping[str, Any]]:
    return {name: _map(_map(params, key), name) for name in _map(params, key)}


def _pointers(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise _wrong(f"reset.{name}", "it is no list of JSON pointers", 'write such as ["/sources/press1"]')
    return tuple(value)


def _wrong(where: str, why: str, mend: str = "") -> ControlError:
    return ControlError("the deployment is not valid", where=where, why=why, mend=mend, code="invalid")
