"""Alarms: raised → acknowledged → cleared, shelved with expiry; a subset of ISA-18.2."""

from edgeloop.alarms.alarm import Alarm, Cause, Contribution, Kind, Reason, Severity, State
from edgeloop.alarms.book import AlarmBook
from edgeloop.alarms.commands import Acknowledge, Command, Shelve, Unshelve, parse
from edgeloop.alarms.journal import AlarmJournal

__all__ = [
    "Acknowledge", "Alarm", "AlarmBook", "AlarmJournal", "Cause", "Command", "Contribution", "Kind", "Reason",
    "Severity", "Shelve", "State", "Unshelve", "parse",
]  # fmt: skip
