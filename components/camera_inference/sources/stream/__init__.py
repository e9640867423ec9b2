"""A camera of the network or of this device, through OpenCV."""

from __future__ import annotations

import os
import re
import ssl
import threading
from typing import Any

from camera_inference.pictures import cv2, decode
from camera_inference.sources.base import Nothing, Outlet, Source
from camera_inference.sources.stream import web
from camera_inference.sources.stream.credentials import signed_in
from edgeloop import clock
from edgeloop.errors import EdgeloopError

_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_opening = threading.Lock()


class Stream(Source[Nothing]):
    schemes = ("rtsp", "rtsps", "http", "https", "v4l2")
    options = Nothing
    whole = live = True
    authenticated = ("rtsp", "rtsps", "http", "https")

    def __init__(self, place: str, options: Nothing, outlet: Outlet) -> None:
        super().__init__(place, options, outlet)
        self._capture: Any = None
        self._answer: Any = None

    def setup(self) -> None:
        cv = cv2("reading a camera")
        if self.place.startswith("/dev/"):
            self._capture = cv.VideoCapture(self.place, cv.CAP_V4L2)
        else:
            web.go_direct(self.place)
            if self.place.startswith("http") and self._motion_jpeg():
                return
            patience = int(1000 * self.outlet.patience)
            limits = [cv.CAP_PROP_OPEN_TIMEOUT_MSEC, patience, cv.CAP_PROP_READ_TIMEOUT_MSEC, patience]
            file = self.outlet.credentials_file
            uri = signed_in(self.place, file) if file else self.place
            with _opening:
                os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = options(self.outlet.transport)
                self._capture = cv.VideoCapture(uri, cv.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            mend = "is it there, does it take the credentials?" if self.outlet.credentials_file else ""
            if self.place.startswith(("https:", "rtsps:")):
                mend = f"is it there, and is its certificate signed by an authority of {authorities()}? {mend}".strip()
            if self.place.startswith("/dev/"):
                mend = "is it there, and is this user in group video?"
            raise EdgeloopError("the camera does not answer", where=redacted(self.place), mend=mend)

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
                    image = decode(data, where)
                except EdgeloopError as error:
                    self.outlet.count("bad_frames")
                    self.outlet.missed("", at, str(error))
                    continue
                if not self.outlet.put(image, "bgr", time=at):
                    return
        except web.FAILURES as error:
            raise EdgeloopError("the camera delivers nothing any more", where=where, why=str(error)) from None
        if not self.outlet.stop.is_set():
            raise EdgeloopError("the camera delivers nothing any more", where=where)

    def run(self) -> None:
        if self._answer is not None:
            self._pictures()
            return
        while not self.outlet.stop.is_set():
            good, image = self._capture.read()
            if not good:
                raise EdgeloopError("the camera delivers nothing any more", where=redacted(self.place))
            if not self.outlet.put(image, "bgr"):
                return

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
        if self._answer is not None:
            self._answer.close()


def authorities() -> str:
    """The file of certificate authorities that this device trusts: `SSL_CERT_FILE`, else that of the system."""
    known = ssl.get_default_verify_paths()
    return os.environ.get("SSL_CERT_FILE") or known.cafile or next(filter(os.path.exists, _BUNDLES), _BUNDLES[0])


def options(transport: str = "tcp") -> str:
    """FFmpeg's options of a connection. Without the first it takes any certificate, and sends it the password."""
    way = "rtsp_transport;udp" if transport == "udp" else "rtsp_flags;prefer_tcp"
    return f"tls_verify;1|ca_file;{authorities()}|{way}"


def redacted(uri: str) -> str:
    """A URI without user and password.

    >>> redacted("rtsp://admin:secret@10.0.0.7/live?profile=1")
    'rtsp://10.0.0.7/live?profile=1'
    """
    return re.sub(r"//[^/@]*@", "//", uri)


SOURCE = Stream
