"""Files of images to pixels and back, through OpenCV."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from camera_inference.frame import Colour, Pixels
from camera_inference.headers import Header, header
from camera_inference.verdict import Box
from edgeloop.errors import EdgeloopError
from edgeloop.models import optional

MOST_PIXELS: Final = 100_000_000
_DIM: Final = 1 << 14
"""Values below which an image of 16 bits is taken for one of a camera that has fewer."""
_FILLING: Final = bytes(np.random.default_rng(8).integers(0, 255, 2048, np.uint8))
_REDUCED: Final = (4, 2)
_RED, _WHITE = (40, 40, 230), (255, 255, 255)


@functools.cache
def _quiet(cv: Any) -> None:
    """One thread for each caller: cameras are worked on side by side already. What it cannot read is told by us."""
    cv.setNumThreads(1)
    cv.utils.logging.setLogLevel(cv.utils.logging.LOG_LEVEL_SILENT)


def cv2(purpose: str = "reading images") -> Any:
    """OpenCV. Raises ModelError where it is not installed."""
    cv = optional.load("cv2", purpose)
    _quiet(cv)
    return cv


def decode(data: bytes, where: str, *, bits: int = 0, scale: int = 1) -> Pixels:
    """(height, width, 3) BGR, upright. bits: of the values in a file of 16; 0: not known. scale: 2 and 4 give one in
    so many rows and columns of a JPEG.

    Raises EdgeloopError for what is no image, for one that is cut off, and for what cannot be shown as it was taken.
    """
    return _decoded(data, header(data, where), where, bits, scale)


def _decoded(data: bytes, known: Header, where: str, bits: int, scale: int) -> Pixels:
    _bounded(known, where)
    cv = cv2()
    if known.end:
        data = data[: known.end]
    raw = np.frombuffer(data, np.uint8)
    try:
        if known.alpha:
            _opaque(cv.imdecode(raw, cv.IMREAD_UNCHANGED), where)
        flag = {2: cv.IMREAD_REDUCED_COLOR_2, 4: cv.IMREAD_REDUCED_COLOR_4}.get(scale, cv.IMREAD_COLOR)
        image = cv.imdecode(raw, flag | (cv.IMREAD_ANYDEPTH if known.bits > 8 else 0))
        if image is not None and known.doubt and (known.scans or _flat_corner(image, known.rotated)):
            _whole(data, where, cv.IMREAD_COLOR if known.scans else cv.IMREAD_REDUCED_GRAYSCALE_8)
    except cv.error as error:
        raise EdgeloopError("the image cannot be read", where=where, why=str(error.err)) from error
    if image is None:
        why = f"{known.form} of {known.width} × {known.height} pixels, {len(data):,} B"
        raise EdgeloopError("this is no image", where=where, why=why)
    return _eight(np.asarray(image), bits, where)


def reduced(data: bytes, where: str, enough: Callable[[int, int], bool], *, bits: int = 0) -> tuple[Pixels, int]:
    """As `decode`, but one in so many rows and columns, where a JPEG's own reduction leaves enough for what looks at
    it. enough: whether a width and a height are."""
    scale = 1
    known = header(data, where)
    if known.form == "JPEG" and known.bits == 8 and not known.rotated and not known.scans:
        scale = max((n for n in _REDUCED if enough(known.width // n, known.height // n)), default=1)
    return _decoded(data, known, where, bits, scale), scale


def _bounded(known: Header, where: str) -> None:
    """Raises EdgeloopError."""
    if known.refused:
        raise EdgeloopError("this form of image is not read", where=where, why=known.refused, mend="convert it")
    if known.pictures > 1:
        raise EdgeloopError("the file has several images", where=where, why=f"{known.form} of {known.pictures}",
                            mend="one image is one part: write them one by one")  # fmt: skip
    if known.width < 1 or known.height < 1 or known.width * known.height > MOST_PIXELS:
        why = f"{known.width:,} × {known.height:,} pixels of at most {MOST_PIXELS:,}"
        raise EdgeloopError("the image is too large" if known.width else "the image is empty", where=where, why=why)


def _opaque(image: Pixels | None, where: str) -> None:
    """Raises EdgeloopError where a part of the image is transparent: what stands there was never seen."""
    if image is None or image.ndim < 3 or image.shape[2] != 4:
        return
    alpha = image[:, :, 3]
    seen = int(np.iinfo(image.dtype).max) if image.dtype.kind == "u" else 1
    if int(alpha.min()) < seen:
        share = float((alpha < seen).mean())
        raise EdgeloopError("a part of the image is transparent", where=where, why=f"{share:.0%} of it",
                            mend="write it without transparency")  # fmt: skip


def _flat_corner(image: Pixels, rotated: bool) -> bool:
    """Whether the corner that a decoder fills last is one colour, as it is where rows are missing."""
    corners = [image[-8:, -8:]]
    if rotated:
        corners += [image[:8, :8], image[:8, -8:], image[-8:, :8]]
    return any(bool((corner == corner[-1, -1]).all()) for corner in corners)


def _whole(data: bytes, where: str, flag: int) -> None:
    """Raises EdgeloopError where a JPEG's rows are missing: then, and only then, bytes put before its end mark are
    taken for the rows that it lacks."""
    cv = cv2()
    alone = cv.imdecode(np.frombuffer(data, np.uint8), flag)
    more = cv.imdecode(np.frombuffer(data[:-2] + _FILLING + data[-2:], np.uint8), flag)
    if alone is None or more is None or (alone != more).any():
        raise EdgeloopError("the image is cut off", where=where, why="rows are missing before its end mark",
                            mend="write it under another name, then rename it")  # fmt: skip


def _eight(image: Pixels, bits: int, where: str) -> Pixels:
    """8 bits of the values of an image."""
    if image.dtype == np.uint8:
        return image
    if image.dtype != np.uint16:
        raise EdgeloopError("this form of image is not read", where=where, why=str(image.dtype), mend="convert it")
    largest = int(image.max(initial=0))
    if not bits and 0 < largest < _DIM:
        needed = next(b for b in (8, 10, 12, 14) if largest < 1 << b)
        raise EdgeloopError("the image's 16 bits are not filled", where=where,
                            why=f"its largest value is {largest:,}, as of a camera of {needed} bits",
                            mend=f"say ?bits={needed} behind the URI, or bits=16 where it is just dark")  # fmt: skip
    bits = bits or 16
    if largest >= 1 << bits:
        raise EdgeloopError("the image has more bits than its source says", where=where,
                            why=f"{largest:,} of at most {(1 << bits) - 1:,}", mend="correct bits")  # fmt: skip
    return np.asarray(image >> max(0, bits - 8), np.uint8)


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
