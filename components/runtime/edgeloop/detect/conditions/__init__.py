"""The state of a machine over several channels: normal or abnormal, with hysteresis and recovery."""

from edgeloop.detect.conditions.detector import ConditionDetector
from edgeloop.detect.conditions.settings import ConditionScores, ConditionSettings

__all__ = ["ConditionDetector", "ConditionScores", "ConditionSettings"]
