"""Destinations that the local core does not have: IoT Analytics, IoT SiteWise, HTTP."""

from __future__ import annotations

from edgeloop_tools.core.stream_manager.exports.exporter import Exporter


class UnsupportedExporter(Exporter):
    """Fails as an export does whose destination refuses: an error in the export's status, and nothing moves on."""

    async def run(self) -> None:
        while True:
            if self.stream.log.available(self.next):
                self.failed("AccessDeniedException: the local core exports to S3 and Kinesis only")
            await self.stream.change()
