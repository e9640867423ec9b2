"""What PutMedia says while media is still being sent."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from edgeloop import decode
from edgeloop.errors import DecodeError

Event = Literal["BUFFERING", "RECEIVED", "PERSISTED", "IDLE", "ERROR"]
_OBJECT: Final = re.compile(rb"\{[^{}]*\}")
_HEAD: Final = 64 << 10
ROTATE: Final = {4003}
"""The connection has lived as long as it may: no fault."""
OF_FRAGMENT: Final = {4001, 4002, 4004, 4005, 4006, 4007, 4009, 4010, 4011, 4012}
"""What is wrong is the fragment itself: sent again it would be refused again."""


class Ack(msgspec.Struct, kw_only=True, rename="pascal"):
    """timecode: ms, of the fragment."""

    event_type: str
    fragment_timecode: int = -1
    fragment_number: str = ""
    error_id: int = 0
    error_code: str = ""


class Answer:
    """The response, as its bytes come. status is 0 until it is known."""

    def __init__(self) -> None:
        self.status = 0
        self.ended = False
        self._data = bytearray()
        self._head = False
        self._chunked = False
        self._text = bytearray()

    @property
    def reason(self) -> str:
        """What a refusal says."""
        return " ".join(bytes(self._text[:400]).decode("utf-8", "replace").split())

    def take(self, data: bytes) -> list[Ack]:
        """Acknowledgements that are whole now. Raises ValueError for what is no HTTP."""
        self._data += data
        if not self._head and not self._begin():
            return []
        if self._chunked:
            while self._chunk():
                pass
        else:
            self._text += self._data
            self._data.clear()
        if self.status != 200:
            return []
        found = []
        last = 0
        for match in _OBJECT.finditer(self._text):
            last = match.end()
            try:
                found.append(decode.document(match[0], Ack, what="an acknowledgement", strict=False))
            except DecodeError:
                continue
        del self._text[:last]
        return found

    def _begin(self) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            if len(self._data) > _HEAD:
                raise ValueError("no HTTP")
            return False
        lines = bytes(self._data[:end]).decode("latin-1").split("\r\n")
        words = lines[0].split(" ", 2)
        if not words[0].startswith("HTTP/") or len(words) < 2 or not words[1].isdigit():
            raise ValueError("no HTTP")
        del self._data[: end + 4]
        if words[1] == "100":
            return self._begin()
        self.status = int(words[1])
        headers = {name.strip().lower(): value.strip().lower() for name, _, value in (x.partition(":") for x in lines)}
        self._chunked = "chunked" in headers.get("transfer-encoding", "")
        self._head = True
        return True

    def _chunk(self) -> bool:
        end = self._data.find(b"\r\n")
        if end < 0:
            return False
        size = int(bytes(self._data[:end]).split(b";")[0], 16)
        if len(self._data) < end + 2 + size + 2:
            return False
        self._text += self._data[end + 2 : end + 2 + size]
        del self._data[: end + 4 + size]
        self.ended = self.ended or size == 0
        return size > 0
