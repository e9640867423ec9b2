"""The writer's side of the samples topic."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgeloop.journal.segment import JournalFull, Span
from edgeloop.journal.writer import JournalWriter
from edgeloop.samples import notice
from edgeloop.topics import SAMPLES
from edgeloop.wire.batch import Item
from edgeloop.wire.codec import encode


class SamplesPublisher:
    """Journal first, then one notice. `publish(topic, payload)` must not block; False means it was not taken.

    inline: bytes up to which a notice carries its batches; 0 for bare notices.
    """

    def __init__(
        self, publish: Callable[[str, bytes], bool], journal: JournalWriter, *, inline: int = notice.MAX_NOTICE
    ) -> None:
        self._publish, self._journal = publish, journal
        self._limit = min(inline, notice.MAX_NOTICE)
        self.notices = 0
        self.lost_notices = 0

    def tick(self, items: Sequence[Item]) -> Span:
        """Appends and announces. Raises as `JournalWriter.append`; what a full journal still took is announced."""
        frames = [encode(item) for item in items]
        try:
            span = self._journal.append_encoded(items, frames)
        except JournalFull as error:
            self._announce(notice.encode(error.span, (), 0), error.span)
            raise
        self._announce(notice.encode(span, frames, self._limit) if items else b"", span)
        return span

    def _announce(self, payload: bytes, span: Span) -> None:
        if span.start == span.end:
            return
        self.notices += 1
        if not self._publish(SAMPLES, payload):
            self.lost_notices += 1
