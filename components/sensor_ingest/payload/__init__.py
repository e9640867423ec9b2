"""Messages and lines of other programs to rows of numbers: what mqtt, topic and serial share."""

from sensor_ingest.payload.decoder import Decoder, Rows
from sensor_ingest.payload.errors import BadPayload
from sensor_ingest.payload.feed import Feed
from sensor_ingest.payload.form import Form

__all__ = ["BadPayload", "Decoder", "Feed", "Form", "Rows"]
