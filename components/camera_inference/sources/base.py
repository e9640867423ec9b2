"""What a source of frames is. To add a type: a folder below sources/ whose package has a class like this as SOURCE."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

from camera_inference.configuration import Policy
from camera_inference.frame import Colour, Pixels


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands behind the question mark of a URI."""


class Nothing(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No options."""


C = TypeVar("C", bound=Options)


class Outlet(Protocol):
    """What a source is given. Thread-safe."""

    id: str
    policy: Policy
    state: Path
    """A file of its own, for what has to survive a restart."""
    stop: threading.Event
    credentials_file: str
    """Empty where there is none."""
    patience: float
    """s without an answer, or without a frame, after which the connection is made anew."""
    transport: str
    """tcp or udp, of RTSP."""
    rate: float
    """Frames a second, for sources that ask for each; 0: not said."""

    @property
    def last_part(self) -> str:
        """The part that came last, also before a restart; empty where there was none."""
        ...

    keep: Callable[[Any, int], None] | None
    """Takes each packet of a source of packets (PyAV's) and its time, ns UTC, where someone wants them."""

    def enough(self, width: int, height: int) -> bool:
        """Whether a picture of that size has all that is looked at: a decoder may then leave out the rest."""
        ...

    def put(
        self, image: Pixels, colour: Colour, *, time: int = 0, part: str = "", jpeg: bytes = b"", scale: int = 1
    ) -> bool:
        """Hands over a frame; never waits. time: ns UTC, 0 for now. False: the source has to end.

        The image is not to be changed afterwards. Without a part, policy `every` numbers the frames. jpeg: the frame as
        it came, where it came so; scale: how many of its rows and columns are one of the image's.
        """
        ...

    def missed(self, part: str, time: int, reason: str, *, blind: bool = True) -> None:
        """A part went by without an image. blind: the camera's sight is to blame; not where nobody looked."""
        ...

    def wait(self, seconds: float) -> bool:
        """Sleeps; whether the source has to end."""
        ...

    def room(self) -> bool:
        """Waits until a frame would find a place, for sources that can wait; False: the source has to end."""
        ...

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool: ...

    def problem(self, line: str, part: str = "") -> None:
        """Degrades the camera's health, by one line for each part, until cleared."""
        ...

    def clear(self, part: str = "") -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...

    def log(self, line: str, **fields: Any) -> None: ...


class Source(Generic[C]):
    """One run of a source, in a thread of its own: setup, run until the end, close.

    An EdgeloopError or OSError ends the run with one line, and a new run follows after a while. place: the URI without
    its scheme and options.
    """

    schemes: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[type[Options]] = Nothing
    whole: ClassVar[bool] = False
    """Whether the source takes the URI as it stands, question mark and all."""
    live: ClassVar[bool] = False
    """Whether no two pictures of it are the same, bit by bit, unless it hangs."""
    authenticated: ClassVar[tuple[str, ...]] = ()
    """Those of the schemes that take credentials."""

    def __init__(self, place: str, options: C, outlet: Outlet) -> None:
        self.place, self.configuration, self.outlet = place, options, outlet

    def setup(self) -> None:
        """Opens."""

    def run(self) -> None:
        """Puts frames until `outlet.stop` is set, or the source has come to its end."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """Called from another thread once `outlet.stop` is set: ends whatever run waits for."""

    def close(self) -> None:
        """Releases everything; called once for each setup, whatever happened."""
