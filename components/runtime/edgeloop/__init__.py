"""Edgeloop: machine learning where sensors and cameras are. The library every component carries."""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`read`, `labels` and `gaps` of `edgeloop.data`, which device components do not carry, on first use."""
    if name in ("read", "labels", "gaps"):
        return getattr(__import__("edgeloop.data", fromlist=[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
