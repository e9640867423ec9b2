"""Edgeloop: machine learning where sensors and cameras are. The library every component carries."""

import os

__version__ = "0.1.0"

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
"""onnxruntime's Linux wheel else keeps a device id below the home folder and calls its maker's host from the
import on. Here, because this runs before any import of it, and subprocesses inherit it."""


def __getattr__(name: str) -> object:
    """`read`, `labels` and `gaps` of `edgeloop.data`, which device components do not carry, on first use."""
    if name in ("read", "labels", "gaps"):
        return getattr(__import__("edgeloop.data", fromlist=[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
