"""Odd pictures, made here, and what should come of each: `pass` (judged as what it shows), `unknown`, or `refused` (one
line, no picture)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeloop.sim.conveyor import Camera, Conveyor

Should = Literal["pass", "unknown", "refused"]
Pixels = NDArray[np.uint8]
SIZE = (240, 320)


@dataclass(frozen=True)
class Odd:
    name: str
    data: bytes
    should: Should


def part(number: int = 3, seed: int = 7) -> Pixels:
    """A good part, RGB."""
    return Camera(Conveyor("gate", seed, defective=0.0)).image(number)


def corpus() -> list[Odd]:
    found = [*_nothing(), *_changed(), *_cut(), *_forms()]
    assert len({odd.name for odd in found}) == len(found)
    return found


def _png(image: Any) -> bytes:
    ordered = image[:, :, ::-1] if image.ndim == 3 else image
    return cv2.imencode(".png", np.ascontiguousarray(ordered))[1].tobytes()


def _saved(form: str, image: Image.Image, **more: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **more)
    return buffer.getvalue()


def _full(*colour: int) -> Pixels:
    return np.full((*SIZE, 3), colour if len(colour) == 3 else colour * 3, np.uint8)


def _nothing() -> Iterator[Odd]:
    """Pictures that show no part."""
    rng = np.random.default_rng(5)
    plain = {"black": (0,), "white": (255,), "grey": (128,), "dark grey": (6,), "bright grey": (250,)}
    for name, colour in {**plain, "blue": (0, 0, 255), "green": (0, 255, 0), "magenta": (255, 0, 255)}.items():
        yield Odd(f"{name}.png", _png(_full(*colour)), "unknown")
    yield Odd("lens cap.png", _png(np.clip(rng.normal(4, 2, (*SIZE, 3)), 0, 255).astype(np.uint8)), "unknown")
    yield Odd("grey wall.png", _png(np.clip(rng.normal(120, 2, (*SIZE, 3)), 0, 255).astype(np.uint8)), "unknown")
    yield Odd("noise.png", _png(rng.integers(0, 256, (*SIZE, 3), np.uint8)), "unknown")
    yield Odd("grey noise.png", _png(rng.integers(0, 256, SIZE, np.uint8)), "unknown")
    yield Odd("binary noise.png", _png(rng.integers(0, 2, SIZE, np.uint8) * 255), "unknown")
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    yield Odd("ramp.png", _png((x * 255 // SIZE[1]).astype(np.uint8)), "unknown")
    yield Odd("ramp down.png", _png((y * 255 // SIZE[0]).astype(np.uint8)), "unknown")
    yield Odd("checkers.png", _png(((x // 20 + y // 20) % 2 * 255).astype(np.uint8)), "unknown")
    yield Odd("fine checkers.png", _png(((x + y) % 2 * 255).astype(np.uint8)), "unknown")
    yield Odd("stripes.png", _png((x // 8 % 2 * 200).astype(np.uint8)), "unknown")
    bars = np.stack([7 - x // 40 >> bit & 1 for bit in (1, 2, 0)], axis=2) * 255
    yield Odd("colour bars.png", _png(bars.astype(np.uint8)), "unknown")
    text = _full(20)
    cv2.putText(text, "NO SIGNAL", (60, 130), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255, 255, 255), 2)
    yield Odd("no signal.png", _png(text), "unknown")
    belt = np.clip(30 + rng.normal(0, 3, (*SIZE, 3)), 0, 255).astype(np.uint8)
    yield Odd("empty belt.png", _png(belt), "unknown")
    for width, height in ((1, 1), (1, 240), (320, 1), (8, 8), (31, 31)):
        small = cv2.resize(part(), (width, height), interpolation=cv2.INTER_AREA)
        yield Odd(f"{width} by {height}.png", _png(small), "unknown")


def _changed() -> Iterator[Odd]:
    """A good part, seen badly."""
    good = part()
    rng = np.random.default_rng(6)
    for blur in (3, 5, 10):
        yield Odd(f"blurred {blur}.png", _png(cv2.GaussianBlur(good, (0, 0), blur)), "unknown")
    for share in (0.05, 0.15, 0.3):
        yield Odd(f"light at {share}.png", _png((good * share).astype(np.uint8)), "unknown")
    yield Odd("overexposed.png", _png(np.clip(good.astype(np.int32) * 6, 0, 255).astype(np.uint8)), "unknown")
    yield Odd("inverted.png", _png(255 - good), "unknown")
    yield Odd("moved.png", _png(np.roll(good, 140, axis=1)), "unknown")
    yield Odd("half covered.png", _png(np.concatenate([good[:, :160], _full(3)[:, :160]], axis=1)), "unknown")
    yield Odd("fog.png", _png((200 + good * 0.05).astype(np.uint8)), "unknown")
    noisy = np.clip(good + rng.normal(0, 60, good.shape), 0, 255).astype(np.uint8)
    yield Odd("very noisy.png", _png(noisy), "unknown")


def _cut(quality: int = 92) -> Iterator[Odd]:
    """Files that lack something."""
    image = Image.fromarray(part())
    jpeg = _saved("JPEG", image, quality=quality)
    late = _saved("JPEG", image, quality=quality, progressive=True)
    begin = jpeg.index(b"\xff\xda") + 14
    for share in (0.1, 0.3, 0.6, 0.9, 0.98):
        at = begin + int(share * (len(jpeg) - begin))
        yield Odd(f"cut at {share}.jpg", jpeg[:at], "refused")
        yield Odd(f"cut at {share} with an end.jpg", jpeg[:at] + b"\xff\xd9", "refused")
    for share in (0.3, 0.6, 0.9):
        yield Odd(f"progressive cut at {share}.jpg", late[: int(share * len(late))] + b"\xff\xd9", "refused")
    parted = cv2.imencode(".jpg", part()[:, :, ::-1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 8])[1].tobytes()
    yield Odd("with restarts.jpg", parted, "pass")
    yield Odd("with restarts, cut.jpg", parted[: int(0.6 * len(parted))] + b"\xff\xd9", "refused")
    yield Odd("zeros behind.jpg", jpeg + b"\0" * 4096, "pass")
    yield Odd("something behind.jpg", jpeg + b"trailer" * 30, "pass")
    yield Odd("empty.jpg", b"", "refused")
    yield Odd("only a mark.jpg", b"\xff\xd8\xff\xd9", "refused")
    yield Odd("text.jpg", b"<html>camera busy</html>", "refused")
    for form, name in (("PNG", "png"), ("WEBP", "webp"), ("GIF", "gif"), ("BMP", "bmp"), ("AVIF", "avif")):
        yield Odd(f"cut.{name}", _saved(form, image)[:-700], "refused")
    png = bytearray(_saved("PNG", image))
    png[16:24] = (20_000).to_bytes(4, "big") * 2
    yield Odd("20,000 squared.png", bytes(png), "refused")


def _forms() -> Iterator[Odd]:
    """The same part in every form."""
    good = part()
    image = Image.fromarray(good)
    yield Odd("plain.jpg", _saved("JPEG", image, quality=92), "pass")
    yield Odd("plain.jpe", _saved("JPEG", image, quality=92), "pass")
    yield Odd("plain.jfif", _saved("JPEG", image, quality=92), "pass")
    yield Odd("progressive.jpg", _saved("JPEG", image, quality=92, progressive=True), "pass")
    yield Odd("cmyk.jpg", _saved("JPEG", image.convert("CMYK"), quality=92), "pass")
    yield Odd("plain.png", _saved("PNG", image), "pass")
    yield Odd("opaque.png", _saved("PNG", image.convert("RGBA")), "pass")
    veiled = image.convert("RGBA")
    veiled.putalpha(Image.linear_gradient("L").resize(image.size))
    for form, name in (("PNG", "png"), ("WEBP", "webp"), ("AVIF", "avif")):
        yield Odd(f"transparent.{name}", _saved(form, veiled), "refused")
    yield Odd("palette.png", _saved("PNG", image.quantize(256)), "pass")
    yield Odd("palette with a hole.png", _saved("PNG", image.quantize(256), transparency=3), "refused")
    yield Odd("plain.webp", _saved("WEBP", image, quality=95), "pass")
    yield Odd("lossless.webp", _saved("WEBP", image, lossless=True), "pass")
    yield Odd("plain.avif", _saved("AVIF", image, quality=95), "pass")
    yield Odd("plain.gif", _saved("GIF", image), "pass")
    yield Odd("moving.gif", _saved("GIF", image, save_all=True, append_images=[image.rotate(90)]), "refused")
    yield Odd("plain.bmp", _saved("BMP", image), "pass")
    yield Odd("plain.tif", _saved("TIFF", image), "pass")
    yield Odd("packed.tif", _saved("TIFF", image, compression="tiff_lzw"), "pass")
    yield Odd("pages.tif", _saved("TIFF", image, save_all=True, append_images=[image]), "refused")
    yield Odd("cmyk.tif", _saved("TIFF", image.convert("CMYK")), "refused")
    yield Odd("floating.tif", _saved("TIFF", Image.fromarray(good[:, :, 0].astype(np.float32))), "refused")
    turned = Image.Exif()
    ways = Image.Transpose
    for orientation, turn in ((3, ways.ROTATE_180), (6, ways.ROTATE_90), (8, ways.ROTATE_270)):
        turned[0x112] = orientation
        data = _saved("JPEG", image.transpose(turn), exif=turned, quality=92)
        yield Odd(f"orientation {orientation}.jpg", data, "pass")
    wide = good.astype(np.uint16)
    yield Odd("16 bits.png", _png(wide << 8), "pass")
    yield Odd("12 bits in 16.png", _png(wide << 4), "refused")
    yield Odd("10 bits in 16.png", _png(wide << 2), "refused")
    yield Odd("16 bits.tif", cv2.imencode(".tif", (wide << 8)[:, :, ::-1])[1].tobytes(), "pass")
