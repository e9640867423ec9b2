"""A record in a sentence, for people."""

from __future__ import annotations

from stream_upload.destinations.base import Record


def sentence(record: Record) -> str:
    """
    >>> said = {"severity": "high", "state": "raised", "asset": "press7", "text": "oil 82 °C", "time_rfc3339": "10:00Z"}
    >>> sentence(Record("AnomalyInference", "alarms", said, b""))
    'high, raised, press7: oil 82 °C (10:00Z)'
    """
    said = record.document
    if record.kind != "alarms":
        return f"{record.kind} of {record.component}: {record.content.decode(errors='replace')[:2000]}"
    about = said.get("asset") or said.get("monitor") or record.component
    return f"{said.get('severity')}, {said.get('state')}, {about}: {said.get('text')} ({said.get('time_rfc3339', '')})"
