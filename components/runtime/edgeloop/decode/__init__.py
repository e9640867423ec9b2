"""The one decoder of documents from outside the process: the bus, files, configuration, other programs.

Every document is bounded before anything is made of it, and there is one error, `DecodeError`. Frames of cameras and of
samples have bounds of their own (`edgeloop.wire`).
"""

from edgeloop.decode.binary import cbor
from edgeloop.decode.bounds import OUTSIDE, OWN, Bounds, check
from edgeloop.decode.file import content, file
from edgeloop.decode.text import document
from edgeloop.errors import DecodeError

__all__ = ["OUTSIDE", "OWN", "Bounds", "DecodeError", "cbor", "check", "content", "document", "file"]
