"""The topics of the bus, named once. All carry the bytes of binary messages."""

from __future__ import annotations

SAMPLES = "edgeloop/samples"
"""CBOR notice per tick: where the journal stands, and the tick's batches while they fit."""

TRUTH = "edgeloop/sim/truth"
"""JSON: what a simulator really did. No component may subscribe."""


def results(component: str) -> str:
    """JSON: a tick's results of one component."""
    return f"edgeloop/results/{short(component)}"


def alarm(alarm_id: str) -> str:
    """JSON: each change of state of one alarm."""
    return f"edgeloop/alarms/{alarm_id}"


ALARMS = "edgeloop/alarms/+"
ALARM_COMMANDS = "edgeloop/commands/alarms"
"""JSON: acknowledge, shelve, unshelve."""
PART_COMMANDS = "edgeloop/commands/parts"
"""JSON: a person's label of a part."""


CAMERA_COMMANDS = "edgeloop/commands/cameras"
"""JSON: `{"command": "learn", "camera": id}`: what its pictures are usually like is learned anew; `{"command": "teach",
"camera": id, "good": 30, "by": who}`: its next pictures are good, and make its model."""

INPUTS = "edgeloop/in/*"
"""Samples of other programs, for sources of type topic: what a policy allows without a word."""


def samples_of(id: str) -> str:
    """JSON: samples of another program, or what a camera counted."""
    return f"edgeloop/in/{id}"


MIRRORS = "edgeloop/mirror/*"


def mirror(stream: str) -> str:
    """JSON: the newest sample of a stream, for other programs."""
    return f"edgeloop/mirror/{stream}"


def action(source: str) -> str:
    """JSON: a command to a source's write-back."""
    return f"edgeloop/actions/{source}"


ACTIONS = "edgeloop/actions/+"
ACTION_RESULTS = "edgeloop/action-results"
"""JSON: what became of an action."""


MODEL_COMMANDS = "edgeloop/commands/models"
"""JSON: `{"command": "hold" | "release", "name": model, "version": …, "by": who, "role": "engineer"}`, or, from
CameraInference, `{"command": "taught", "name": …, "digest": …, "version": …, "by": who}`."""


def model(name: str) -> str:
    """JSON: a model's pointer in the store has changed. A notice only; the store is the truth."""
    return f"edgeloop/models/{name}"


def ask(camera: str) -> str:
    """JSON: a picture that the edge is unsure of, for a second opinion."""
    return f"edgeloop/opinions/ask/{camera}"


def opinion(camera: str, id: str) -> str:
    """JSON: the second opinion of one picture, or why there is none."""
    return f"edgeloop/opinions/{camera}/{id}"


def health(component: str) -> str:
    """JSON: state, problems and counters of a component, on change and every 10 s."""
    return f"edgeloop/health/{short(component)}"


def ping(component: str) -> str:
    """The self-ping of a component: published and subscribed by itself alone."""
    return f"edgeloop/ping/{short(component)}"


def short(component: str) -> str:
    """
    >>> short("io.edgeloop.SensorIngest")
    'SensorIngest'
    """
    return component.rpartition(".")[2]
