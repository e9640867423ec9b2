"""The state of a machine over several channels: normal or abnormal, with hysteresis and recovery."""

from edgeloop.detect.states.detector import ConditionDetector
from edgeloop.detect.states.settings import ConditionScores, ConditionSettings

__all__ = ["ConditionDetector", "ConditionScores", "ConditionSettings"]
