"""A number from a file of the system, such as a temperature below /sys, once a period."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta

from edgeloop import clock
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from edgeloop.sequence import Samples, Stream
from edgeloop.wire.batch import Channel
from sensor_ingest.sources.base import Foreseen, Source, SourceConfiguration


class Configuration(SourceConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="example_name"):
    path: Annotated[str, Meta(title="Path", description="file that holds a number", min_length=1)]
    every: Annotated[
        Duration, Meta(title="Every", description="from one reading to the next", extra={"ge": "10 ms", "le": "1 h"})
    ] = Duration("1 s")
    channel: Annotated[str, Meta(title="Channel", description="name of the number")] = "value"
    unit: Annotated[str, Meta(title="Unit", description="UCUM, such as Cel")] = "1"
    scale: Annotated[float, Meta(title="Scale", description="the number times this")] = 1.0


class ExampleSource(Source[Configuration]):
    options = Configuration

    @classmethod
    def foresee(cls, id: str, configuration: Configuration) -> Foreseen:
        return {id: (configuration.channel,)}

    def setup(self) -> None:
        channel = Channel(self.configuration.channel, self.configuration.unit)
        self.outlet.declare(Stream(self.outlet.id, (channel,)))

    def run(self) -> None:
        c = self.configuration
        while not self.outlet.stop.is_set():
            text = Path(c.path).read_text()
            try:
                value = float(text)
            except ValueError:
                raise EdgeloopError("the file holds no number", where=c.path, why=repr(text[:40])) from None
            rows, times = np.array([[value * c.scale]]), np.array([clock.now()])
            if not self.outlet.put(Samples(self.outlet.id, rows, times=times)):
                return
            self.outlet.clear()
            self.outlet.stop.wait(c.every.seconds)


SOURCE = ExampleSource
