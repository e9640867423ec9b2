"""Hyperparameters, checked."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgeloop.clock import NS
from edgeloop.config.identifiers import is_id
from edgeloop.config.quantities import Budget, Duration
from edgeloop.data.reader import nanoseconds
from edgeloop.errors import EdgeloopError
from edgeloop.tables import Options as Table
from edgeloop_tools import tables
from edgeloop_tools.train.job import Job

Method = Literal["pca", "autoencoder"]
VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.-]+)?")


@dataclass(frozen=True, slots=True)
class Options:
    """window, hop: s, 0: by the rate. budget: log10 s. start, end: ns UTC."""

    input: str
    model_dir: Path = Path(".")
    validation: str = ""
    labels: str = ""
    stream: str = ""
    table: Table = field(default_factory=Table)
    channels: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    window: float = 0.0
    hop: float = 0.0
    method: Method = "pca"
    epochs: int = 60
    budget: float = 5.78
    seed: int = 1
    name: str = ""
    version: str = "1.0.0"
    data_dir: Path | None = None
    threads: int = 1
    json: bool = False


def options(arguments: argparse.Namespace, job: Job) -> Options:
    """Raises EdgeloopError naming the argument that is wrong."""
    source = arguments.input or job.channel("training", "train")
    if not source:
        raise EdgeloopError("nothing to train on", where="train", mend="give --input, or a channel `training`")
    if arguments.name and not is_id(arguments.name):
        raise EdgeloopError("no name for a model", where="--name", why=repr(arguments.name), mend="a-z, 0-9, _ and -")
    if not VERSION.fullmatch(arguments.version):
        raise EdgeloopError("no version", where="--version", why=repr(arguments.version), mend="such as 1.2.0")
    try:
        budget = Budget(arguments.budget)
    except ValueError as error:
        raise EdgeloopError("not a budget", where="--budget", why=str(error), mend='such as "1 alarm/week"') from None
    data = arguments.output_data_dir or job.data
    return Options(
        input=source,
        model_dir=Path(arguments.model_dir or job.model or "."),
        validation=arguments.validation or job.channel("validation"),
        labels=arguments.labels or job.channel("labels"),
        stream=arguments.stream,
        table=tables.options(arguments, arguments.ignore.replace(",", " ").split()),
        channels=tuple(arguments.channels.replace(",", " ").split()),
        start=nanoseconds(arguments.start),
        end=nanoseconds(arguments.end),
        window=_span(arguments.window, "--window"),
        hop=_span(arguments.hop, "--hop"),
        method=arguments.method,
        epochs=arguments.epochs,
        budget=math.log10(budget / NS),
        seed=arguments.seed,
        name=arguments.name,
        version=arguments.version,
        data_dir=Path(data) if data else None,
        threads=job.cpus,
        json=arguments.json,
    )


def _span(text: str, where: str) -> float:
    """s; a number alone is of seconds."""
    try:
        value = float(text or 0)
    except ValueError:
        try:
            value = Duration(text) / NS
        except ValueError as error:
            raise EdgeloopError("no span of time", where=where, why=str(error), mend="such as 30 or 30s") from None
    if not 0 <= value < 1e6:
        raise EdgeloopError("no span of time", where=where, why=repr(text), mend="such as 30 or 30s")
    return value
