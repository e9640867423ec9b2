"""What stands between a model and its use."""

from __future__ import annotations

from enum import StrEnum

from edgeloop.errors import EdgeloopError


class ModelError(EdgeloopError):
    """A model cannot be used now: no file, no room, no runtime, a worker that is starting again. Worth another try."""


class Reason(StrEnum):
    """Why a package is refused, or taken back. The list is closed: records, history and fleet views count by it."""

    FORM = "form"
    """No canonical archive, files that its manifest does not list, a folder that was changed."""
    MANIFEST = "manifest"
    SIZE = "size"
    UNSIGNED = "unsigned"
    SIGNATURE = "signature"
    """No trusted key made it."""
    KEY = "key"
    """A trusted key made it, which has expired or is for other models."""
    NAME = "name"
    ORIGIN = "origin"
    """Made on a device: on another one, or the line takes nothing that was."""
    OLDER = "older"
    """Than the highest version that was ever committed."""
    MACHINE = "machine"
    """No variant for this machine and the runtimes allowed."""
    GOLDEN = "golden"
    """Its golden set is none, or comes out otherwise."""
    LOAD = "load"
    """The runtime does not take it, or its inputs and outputs are not the manifest's."""
    HEAD = "head"
    """Nobody can read its outputs."""
    LATENCY = "latency"
    MEMORY = "memory"
    HANGS = "hangs"
    CRASHES = "crashes"
    UNUSED = "unused"
    """On probation: a component that is alive did not load it in time."""
    FAILURES = "failures"
    """On probation: too many runs failed."""
    SHIFT = "shift"
    """On probation: far less passes than with the model before."""


class ModelRefused(ModelError):
    """This package is no good, and trying again with the same bytes changes nothing."""

    def __init__(self, what: str, reason: Reason, *, where: str = "", why: str = "", mend: str = "") -> None:
        super().__init__(what, where=where, why=why, mend=mend)
        self.reason = reason
