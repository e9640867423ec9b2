"""The profiles of the Runtime that a line needs."""

from __future__ import annotations

import ast
import importlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from edgeloop.optional import PROFILES
from edgeloop_tools.config.outline import CAMERA, CONSOLE, MODELS, RUNTIME, UPLOAD, VIDEO

CORE = "core"


def needed(sources: dict[str, tuple[type[Any], Any]], configurations: dict[str, Any]) -> dict[str, str]:
    """Profile → path of what needs it. configurations: component → typed configuration."""
    reasons: dict[str, str] = {}
    for id, (kind, _) in sources.items():
        for profile in of_package(kind.__module__):
            reasons.setdefault(profile, f"sources.{id}")
    if cameras := getattr(configurations.get(CAMERA), "cameras", {}):
        reasons.setdefault("vision", f"cameras.{min(cameras)}")
    for id, camera in sorted(cameras.items()):
        if camera.uri.lower().startswith(("rtsp:", "rtsps:")):
            reasons.setdefault("video", f"cameras.{id}")
    update = configurations.get(MODELS)
    for name, model in sorted(getattr(update, "models", {}).items()):
        reasons.setdefault("vision", f"models.{name}")
        if model.uri.startswith("s3:"):
            reasons.setdefault("upload", f"models.{name}")
    if getattr(update, "keys", {}):
        reasons.setdefault(PROFILES["cryptography"], "components.ModelUpdate.keys")
    sent = getattr(configurations.get(VIDEO), "cameras", {})
    if filmed := sorted(id for id, camera in sent.items() if camera.video is not None):
        reasons.setdefault("video", f"cameras.{filmed[0]}.video")
    if CONSOLE in configurations:
        reasons.setdefault("console", "console")
    if getattr(configurations.get(UPLOAD), "bucket", ""):
        reasons.setdefault("upload", "upload.bucket")
    return reasons


@lru_cache(maxsize=64)
def of_package(module: str) -> tuple[str, ...]:
    """Profiles of the optional packages that a package's files name."""
    file = importlib.import_module(module).__file__
    found = set()
    for path in sorted(Path(file).parent.glob("*.py")) if file else ():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                profile = PROFILES.get(node.value.partition(".")[0])
                if profile is not None:
                    found.add(profile)
    return tuple(sorted(found))


__all__ = ["CORE", "RUNTIME", "needed"]
