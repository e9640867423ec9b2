"""The samples topic: one notice a tick says where the journal stands; the journal holds the samples."""

from __future__ import annotations

from edgeloop.samples.notice import MAX_NOTICE, Notice
from edgeloop.samples.publisher import SamplesPublisher
from edgeloop.samples.subscriber import SamplesSubscriber

__all__ = ["MAX_NOTICE", "Notice", "SamplesPublisher", "SamplesSubscriber"]
