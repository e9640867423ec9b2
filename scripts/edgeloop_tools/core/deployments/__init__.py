"""Local deployments: judged whole before anything changes, carried out one after the other, undone when they fail."""

from edgeloop_tools.core.deployments.queue import SETTLED, Deployments
from edgeloop_tools.core.deployments.request import Request
from edgeloop_tools.core.deployments.target import Target, prepare

__all__ = ["SETTLED", "Deployments", "Request", "Target", "prepare"]
