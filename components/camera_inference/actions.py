"""What a verdict does. Advisory, never a safety function."""

from __future__ import annotations

import hashlib
from typing import Any

from camera_inference.configuration import Act, Camera
from camera_inference.documents import Result


def act(camera: Camera, result: Result) -> Act | None:
    """What a part's verdict fires, if anything."""
    return {"fail": camera.reject, "unknown": camera.safe, "pass": None}[result.verdict]


def document(action: Act, result: Result) -> dict[str, Any]:
    """The command. Its id is a function of camera, part and verdict: sent twice, it acts once; its age counts from the
    verdict, so that what is sent late is refused rather than hitting the next part."""
    text = f"part {result.part}: {result.label or result.reason or result.verdict}"
    identity = f"{result.camera}/{result.part}/{result.verdict}/{action.source}/{action.target}"
    return {
        "schema": 1,
        "id": hashlib.blake2b(identity.encode(), digest_size=8).hexdigest(),
        "source": action.source,
        "target": action.target,
        "value": action.value,
        "issued": result.decided,
        "expires": result.decided + int(action.expires),
        "armed": action.armed,
        "cause": {
            "camera": result.camera,
            "part": result.part,
            "verdict": result.verdict,
            "score": result.score,
            "text": text,
        },
    }
