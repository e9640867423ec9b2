"""Errors that cross the control socket as one line."""

from __future__ import annotations

from typing import Any

from edgeloop.errors import EdgeloopError


class ControlError(EdgeloopError):
    """The other side refused, timed out or went away. `code` is a word that a program can act on."""

    def __init__(self, what: str, *, where: str = "", why: str = "", mend: str = "", code: str = "failed") -> None:
        super().__init__(what, where=where, why=why, mend=mend)
        self.code = code


def to_wire(error: EdgeloopError) -> dict[str, str]:
    code = error.code if isinstance(error, ControlError) else "failed"
    return {"what": error.what, "where": error.where, "why": error.why, "mend": error.mend, "code": code}


def from_wire(error: Any) -> ControlError:
    if not isinstance(error, dict):
        return ControlError("the core answered with something that is no error", why=str(error)[:200])
    known = {key: str(error.get(key, "")) for key in ("what", "where", "why", "mend")}
    return ControlError(**known, code=str(error.get("code", "failed")))
