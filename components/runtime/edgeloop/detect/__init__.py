"""Train-free streaming detectors: features → adaptive robust z → return time → words."""

from edgeloop.detect.detector import Detector, Score, Settings
from edgeloop.detect.features import BlockFeatures, Feature

__all__ = ["BlockFeatures", "Detector", "Feature", "Score", "Settings"]
