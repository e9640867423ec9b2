"""What long-period analysis says of this line's assets: findings as alarms, and settings within the line's bounds."""

from edgeloop.fleet.findings import Findings
from edgeloop.fleet.messages import Finding, FindingList, parse, topic
from edgeloop.fleet.settings import Fleet

__all__ = ["Finding", "FindingList", "Findings", "Fleet", "parse", "topic"]
