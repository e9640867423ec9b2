"""Files of images to pixels and back, through OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from camera_inference.frame import Colour, Pixels
from camera_inference.verdict import Box
from edgeloop.errors import EdgeloopError
from edgeloop.models import optional

_ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND\xaeB`\x82"}
_RED, _WHITE = (40, 40, 230), (255, 255, 255)


def cv2(purpose: str = "reading images") -> Any:
    """OpenCV. Raises ModelError where it is not installed."""
    return optional.load("cv2", purpose)


def decode(data: bytes, where: str) -> Pixels:
    """(height, width, 3) BGR. Raises EdgeloopError for what is no image, and for one that is cut off."""
    for start, end in _ENDS.items():
        if data.startswith(start) and end not in data[-64:]:
            raise EdgeloopError("the image is cut off", where=where, mend="write it under another name, then rename it")
    try:
        image = cv2().imdecode(np.frombuffer(data, np.uint8), 1) if data else None
    except cv2().error as error:
        raise EdgeloopError("the image cannot be read", where=where, why=str(error.err)) from error
    if image is None:
        raise EdgeloopError("this is no image", where=where, why=f"{len(data):,} B")
    return np.asarray(image)


def jpeg(image: Pixels, colour: Colour, quality: int) -> bytes:
    """Raises EdgeloopError."""
    ordered = image[:, :, ::-1] if colour == "rgb" else image
    done, data = cv2("writing images").imencode(
        ".jpg", np.ascontiguousarray(ordered), [cv2().IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise EdgeloopError("the image cannot be written as JPEG", why=str(image.shape))
    return bytes(data)


def annotated(image: Pixels, colour: Colour, boxes: Sequence[Box], line: str) -> Pixels:
    """A BGR copy with boxes, their labels, and a line of text."""
    cv = cv2("drawing on images")
    drawn = np.ascontiguousarray(image[:, :, ::-1] if colour == "rgb" else image).copy()
    if drawn.ndim == 2:
        drawn = cv.cvtColor(drawn, cv.COLOR_GRAY2BGR)
    height, width = drawn.shape[:2]
    for box in boxes:
        corner = (int(box.x * width), int(box.y * height))
        other = (int((box.x + box.width) * width), int((box.y + box.height) * height))
        cv.rectangle(drawn, corner, other, _RED, 2)
        text = f"{box.label} {box.score:.2f}"
        cv.putText(drawn, text, (corner[0], max(12, corner[1] - 4)), cv.FONT_HERSHEY_SIMPLEX, 0.42, _RED, 1, cv.LINE_AA)
    cv.putText(drawn, line, (6, height - 8), cv.FONT_HERSHEY_SIMPLEX, 0.42, _WHITE, 1, cv.LINE_AA)
    return np.asarray(drawn)
