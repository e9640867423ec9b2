"""Industrial cameras by GenICam: named here, so that what is missing is said."""

from __future__ import annotations

from camera_inference.sources.base import Nothing, Source
from edgeloop.errors import EdgeloopError


class Genicam(Source[Nothing]):
    schemes = ("genicam",)
    whole = True

    def setup(self) -> None:
        """Raises EdgeloopError."""
        raise EdgeloopError(
            "GenICam cameras are not read yet",
            where=self.place,
            why="the licence of their libraries allows no lock to hold them",
            mend="take the camera's RTSP or HTTP stream, or a plug-in around its maker's library (edgeloop new camera; "
            "pip install harvesters, and the maker's GenTL producer)",
        )

    def run(self) -> None:
        self.outlet.stop.wait()


SOURCE = Genicam
