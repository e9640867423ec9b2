"""Train-free streaming detectors: features → adaptive robust z → return time → words.

`protocol` says what a detector is, `registry` which there are; each has a folder of its own.
"""

from edgeloop.detect.features import BlockFeatures, Feature
from edgeloop.detect.levels.detector import Detector, Score, Settings

__all__ = ["BlockFeatures", "Detector", "Feature", "Score", "Settings"]
