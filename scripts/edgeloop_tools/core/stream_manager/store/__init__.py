"""Streams on disk and in memory."""

from edgeloop_tools.core.stream_manager.store.log import Log, Message, StreamFull
from edgeloop_tools.core.stream_manager.store.stream import ExportState, Stream
from edgeloop_tools.core.stream_manager.store.streams import Streams

__all__ = ["ExportState", "Log", "Message", "Stream", "StreamFull", "Streams"]
