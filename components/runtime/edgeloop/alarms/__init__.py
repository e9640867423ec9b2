"""Alarms: raised → acknowledged → cleared, shelved with expiry; a subset of ISA-18.2."""

from edgeloop.alarms.alarm import NO_MONITOR, SEVERITIES, Alarm, Cause, Contribution, Kind, Reason, Severity, State
from edgeloop.alarms.book import AlarmBook
from edgeloop.alarms.commands import Acknowledge, Command, Shelve, Unshelve, parse
from edgeloop.alarms.journal import AlarmJournal
from edgeloop.alarms.labels import Label, label, labels
from edgeloop.alarms.settings import AlarmSettings

__all__ = [
    "NO_MONITOR", "SEVERITIES", "Acknowledge", "Alarm", "AlarmBook", "AlarmJournal", "AlarmSettings", "Cause",
    "Command", "Contribution", "Kind", "Label", "Reason", "Severity", "Shelve", "State", "Unshelve", "label", "labels",
    "parse",
]  # fmt: skip
