"""What runs a model: onnxruntime in this process, or dlr in a worker process."""

from edgeloop.models.runners.base import Options, Runner
from edgeloop.models.runners.choice import open_runner

__all__ = ["Options", "Runner", "open_runner"]
