"""Alarms to an HTTP interface of the plant, one request each, in the words that it wants."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from edgeloop import documents
from stream_upload.destinations.base import Answer, Destination, DestinationConfiguration, Record


class Words(DestinationConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="example_name"):
    url: Annotated[str, Meta(title="URL", description="where to", pattern="^https?://")]


class ExampleDestination(Destination[Words]):
    options = Words
    most = 1

    def send(self, records: Sequence[Record]) -> Answer:
        for record in records:
            said = {"alarm": record.document["id"], "text": record.document.get("text", "")}
            request = urllib.request.Request(
                self.configuration.url, documents.encode(said), {"Content-Type": "application/json"}, method="PUT"
            )
            try:
                urllib.request.urlopen(request, timeout=10).close()
            except urllib.error.HTTPError as error:
                error.close()
                return "retry" if error.code >= 500 else "refused"
        return "acknowledged"


DESTINATION = ExampleDestination
