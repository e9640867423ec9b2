"""The nucleus of this machine: the classic one by its greengrass-cli, nucleus lite by its ggl-cli and its state, else
the local core. Deployments are waited for, and what they ended in is told."""

from edgeloop_tools.nucleus.find import find
from edgeloop_tools.nucleus.model import Component, Deployment, Nucleus, Outcome

__all__ = ["Component", "Deployment", "Nucleus", "Outcome", "find"]
