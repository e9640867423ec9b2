"""Errors a person can act on: one line naming what, where, why and what to do."""

from __future__ import annotations


class EdgeloopError(Exception):
    """A failure with a mend.

    >>> print(EdgeloopError("cannot read the replay file", where="valve1.csv line 7",
    ...                     why="'abc' is no number", mend="correct or delete the line"))
    cannot read the replay file (valve1.csv line 7): 'abc' is no number; correct or delete the line
    """

    def __init__(self, what: str, *, where: str = "", why: str = "", mend: str = "") -> None:
        line = what + (f" ({where})" if where else "")
        line += f": {why}" if why else ""
        line += f"; {mend}" if mend else ""
        super().__init__(" ".join(line.split()))
        self.what, self.where, self.why, self.mend = what, where, why, mend


class ConfigurationError(EdgeloopError):
    """A value outside its type or bounds; `where` is the dotted path of the field."""


class WireError(EdgeloopError):
    """Bytes that are no valid batch, record batch or notice."""


class BusError(EdgeloopError):
    """The nucleus's IPC refused, timed out or went away."""


class DecodeError(EdgeloopError, ValueError):
    """A document from outside that is damaged, of another form, or beyond its bounds."""
