"""What takes messages out of streams."""

from edgeloop_tools.core.stream_manager.exports.exporters import Exporters

__all__ = ["Exporters"]
