"""Processes of components, and the states they go through."""

from edgeloop_tools.core.lifecycle.groups import Groups
from edgeloop_tools.core.lifecycle.plan import Plan
from edgeloop_tools.core.lifecycle.service import Service
from edgeloop_tools.core.lifecycle.states import READY, State

__all__ = ["READY", "Groups", "Plan", "Service", "State"]
