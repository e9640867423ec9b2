"""A camera of the network, through PyAV, or of this device, through OpenCV."""

from __future__ import annotations

import os
import re
import ssl
from typing import Any

from camera_inference.pictures import cv2, reduced
from camera_inference.sources.base import Nothing, Outlet, Source
from camera_inference.sources.stream import web
from camera_inference.sources.stream.credentials import signed_in
from camera_inference.sources.stream.video import Video
from edgeloop import clock
from edgeloop.errors import EdgeloopError

_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class Stream(Source[Nothing]):
    schemes = ("rtsp", "rtsps", "http", "https", "v4l2")
    options = Nothing
    whole = live = True
    authenticated = ("rtsp", "rtsps", "http", "https")

    def __init__(self, place: str, options: Nothing, outlet: Outlet) -> None:
        super().__init__(place, options, outlet)
        self._capture: Any = None
        self._answer: Any = None
        self._video: Video | None = None

    def setup(self) -> None:
        if self.place.startswith("/dev/"):
            cv = cv2("reading a camera")
            self._capture = cv.VideoCapture(self.place, cv.CAP_V4L2)
            if not self._capture.isOpened():
                mend = "is it there, and is this user in group video?"
                raise EdgeloopError("the camera does not answer", where=self.place, mend=mend)
            return
        web.go_direct(self.place)
        if self.place.startswith("http") and self._motion_jpeg():
            return
        file = self.outlet.credentials_file
        uri = signed_in(self.place, file) if file else self.place
        try:
            self._video = Video(uri, redacted(self.place), options(self.place, self.outlet), self.outlet.patience)
        except EdgeloopError as error:
            if error.mend or error.what != "the camera does not answer":
                raise
            mend = "is it there, does it take the credentials?" if file else "is it there?"
            if self.place.startswith(("https:", "rtsps:")):
                mend = f"is it there, and is its certificate signed by an authority of {authorities()}? {mend}"
            raise EdgeloopError(error.what, where=error.where, why=error.why, mend=mend) from None

    def _motion_jpeg(self) -> bool:
        """Whether it is a stream of pictures, which are then read one by one: FFmpeg shows one that is cut over the one
        before."""
        try:
            self._answer = web.opened(self.place, self.outlet.credentials_file, self.outlet.patience, authorities())
        except (EdgeloopError, ValueError, *web.FAILURES):
            return False
        if not web.is_parts(self._answer):
            self._answer.close()
            self._answer = None
        return self._answer is not None

    def _pictures(self) -> None:
        where = redacted(self.place)
        try:
            for data in web.parts(self._answer):
                at = clock.now()
                try:
                    image, scale = reduced(data, where, self.outlet.enough)
                except EdgeloopError as error:
                    self.outlet.count("bad_frames")
                    self.outlet.missed("", at, str(error))
                    continue
                if not self.outlet.put(image, "bgr", time=at, jpeg=data, scale=scale):
                    return
        except web.FAILURES as error:
            raise EdgeloopError("the camera delivers nothing any more", where=where, why=str(error)) from None
        if not self.outlet.stop.is_set():
            raise EdgeloopError("the camera delivers nothing any more", where=where)

    def run(self) -> None:
        if self._answer is not None:
            self._pictures()
            return
        if self._video is not None:
            self._moving(self._video)
            return
        while not self.outlet.stop.is_set():
            good, image = self._capture.read()
            if not good:
                raise EdgeloopError("the camera delivers nothing any more", where=redacted(self.place))
            if not self.outlet.put(image, "bgr"):
                return

    def _moving(self, video: Video) -> None:
        """Compressed video: a picture that is damaged is one that was missed."""
        for picture in video.pictures(self.outlet.keep):
            if picture.image is None:
                self.outlet.count("bad_frames")
                self.outlet.missed("", picture.time, picture.reason)
            elif not self.outlet.put(picture.image, "bgr", time=picture.time):
                return
            if self.outlet.stop.is_set():
                return
        raise EdgeloopError("the camera delivers nothing any more", where=redacted(self.place))

    def close(self) -> None:
        if self._video is not None:
            self._video.close()
        if self._capture is not None:
            self._capture.release()
        if self._answer is not None:
            self._answer.close()


def authorities() -> str:
    """The file of certificate authorities that this device trusts: `SSL_CERT_FILE`, else that of the system."""
    known = ssl.get_default_verify_paths()
    return os.environ.get("SSL_CERT_FILE") or known.cafile or next(filter(os.path.exists, _BUNDLES), _BUNDLES[0])


def options(place: str, outlet: Outlet) -> dict[str, str]:
    """FFmpeg's options of a connection. Without the first two it takes any certificate, and sends it the password."""
    found = {"tls_verify": "1", "verify": "1", "ca_file": authorities(), "cafile": authorities()}
    if place.startswith("rtsp"):
        found["allowed_media_types"] = "video"
        if outlet.transport == "udp":
            found["rtsp_transport"] = "udp"
        else:
            found["rtsp_flags"] = "prefer_tcp"
    return found


def redacted(uri: str) -> str:
    """A URI without user and password.

    >>> redacted("rtsp://admin:secret@10.0.0.7/live?profile=1")
    'rtsp://10.0.0.7/live?profile=1'
    """
    return re.sub(r"//[^/@]*@", "//", uri)


SOURCE = Stream
