"""Lives: of a source in a thread of its own, and of this process beside its parent and its like."""

from edgeloop.supervise.alone import Alone
from edgeloop.supervise.parent import Parent
from edgeloop.supervise.supervisor import Supervised, Supervisor, Surroundings

__all__ = ["Alone", "Parent", "Supervised", "Supervisor", "Surroundings"]
