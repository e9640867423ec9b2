"""A source in a thread of its own: run, run again after a failure, its troubles kept to itself."""

from edgeloop.supervise.supervisor import Supervised, Supervisor, Surroundings

__all__ = ["Supervised", "Supervisor", "Surroundings"]
