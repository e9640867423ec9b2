"""Limits that people set: thresholds, windows and conditions over channels, judged row by row, without learning."""

from edgeloop.limits.expression import Expression
from edgeloop.limits.judge import Judgement, Limits
from edgeloop.limits.limit import KINDS, Limit, LimitKind

__all__ = ["KINDS", "Expression", "Judgement", "Limit", "LimitKind", "Limits"]
