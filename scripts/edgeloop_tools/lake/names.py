"""What the names of streams and columns say: the asset, its type, the channel and the indicator."""

from __future__ import annotations

import re

_INDICATOR = re.compile(r"(?P<channel>.+?)_(?P<indicator>rms|peak|crest|kurtosis|velocity|band_\d+_\d+_hz)")
_END = "_indicators"
VALUE = "value"
"""The indicator of a channel that was not made into one on the device."""


def asset(stream: str) -> str:
    """The stream without its last word.

    >>> asset("press7_vib"), asset("press_7_vib_indicators"), asset("oven")
    ('press7', 'press_7', 'oven')
    """
    return stream.removesuffix(_END).rpartition("_")[0] or stream.removesuffix(_END)


def asset_type(name: str) -> str:
    """The asset without its numbers.

    >>> asset_type("press7"), asset_type("press_7"), asset_type("4711")
    ('press', 'press', '4711')
    """
    return re.sub(r"[_-]?\d+", "", name) or name


def measure(stream: str, column: str) -> tuple[str, str]:
    """Channel and indicator; only streams of indicators have others than `value`.

    >>> measure("press7_vib_indicators", "x_band_3200_6400_hz"), measure("press7_plc", "motor_peak")
    (('x', 'band_3200_6400_hz'), ('motor_peak', 'value'))
    """
    match = _INDICATOR.fullmatch(column) if stream.endswith(_END) else None
    return (match["channel"], match["indicator"]) if match else (column, VALUE)
