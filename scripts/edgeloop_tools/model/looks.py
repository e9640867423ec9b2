"""How a picture's numbers may be given to a model: colours, scale, mean and deviation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Colours = Literal["rgb", "bgr", "grey"]


@dataclass(frozen=True)
class Look:
    """A value is divided by `scale`, less `mean`, divided by `deviation`, by channel."""

    words: str
    colours: Colours
    scale: float
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @property
    def options(self) -> str:
        """What would ask for it."""
        text = f"--colours {self.colours} --scale {self.scale:g}"
        if self.mean:
            text += (
                f" --mean {','.join(f'{v:g}' for v in self.mean)} --std {','.join(f'{v:g}' for v in self.deviation)}"
            )
        return text


_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def looks(channels: int, itself: bool, usual: str) -> list[Look]:
    """All that are common, the most likely first. itself: the graph scales by itself. usual: `unit` or `imagenet`."""
    if channels == 1:
        found = [
            Look("0..1", "grey", 255.0), Look("0..255", "grey", 1.0), Look("−1..1", "grey", 255.0, (0.5,), (0.5,)),
        ]  # fmt: skip
        return found[1:2] + found[:1] + found[2:] if itself else found
    found = []
    for colours in ("rgb", "bgr"):
        own: Colours = "rgb" if colours == "rgb" else "bgr"
        means = (_MEAN, _DEVIATION) if own == "rgb" else (_MEAN[::-1], _DEVIATION[::-1])
        found += [
            Look("0..1", own, 255.0),
            Look("ImageNet's mean and deviation", own, 255.0, *means),
            Look("0..255", own, 1.0),
            Look("−1..1", own, 255.0, (0.5,) * 3, (0.5,) * 3),
            Look("(x − 127) / 128", own, 1.0, (127.0,) * 3, (128.0,) * 3),
        ]
    first = "0..255" if itself else {"unit": "0..1", "imagenet": "ImageNet's mean and deviation"}[usual]
    return sorted(found, key=lambda look: (look.colours != "rgb", look.words != first))


NOTHING: Final = Look("as it is", "rgb", 1.0)
"""For graphs that take bytes."""
