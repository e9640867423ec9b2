"""Uploaded data: where it lies, what its columns mean, and how it is read back.

import edgeloop
df = edgeloop.read("s3://bucket/raw", stream="press7_vib", start="2026-03-01", end="2026-03-02")
df.plot(x="time")
"""

from edgeloop.data.labels import labels
from edgeloop.data.reader import gaps, read

__all__ = ["gaps", "labels", "read"]
