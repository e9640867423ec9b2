"""Files to S3: export tasks in Stream Manager, released on the word of its status stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from edgeloop import optional
from edgeloop.durable import BackOff
from stream_upload.allowance import Allowance, Kind
from stream_upload.configuration import Configuration
from stream_upload.manager import Manager
from stream_upload.state import State

MIB: Final = 1 << 20
FLIGHT: Final = 16
"""Tasks that Stream Manager has at once, so that what is urgent does not wait behind a long line."""
PATIENCE: Final = 600.0
"""s after which a task that was done without a word is given again."""
SHORTEST: Final = 2.0
LONGEST: Final = 600.0
STANDS: Final = 120.0
"""s for which Stream Manager has files and none of them arrives: nothing flows, whatever it says."""
_MULTIPART: Final = 8 * MIB


@dataclass(slots=True)
class File:
    """One file to be uploaded. line: the stream of tasks it goes through; kind: whose share it counts to; arrived:
    called once it has."""

    path: Path
    key: str
    bytes: int
    line: str
    made: int
    arrived: Callable[[], None]
    kind: Kind = "samples"
    pause: BackOff = field(default_factory=lambda: BackOff(SHORTEST, LONGEST))
    sent: float = 0.0


@dataclass(slots=True)
class Counts:
    failures: int = 0
    resent: int = 0
    held: int = 0
    """Files that wait because the day's bytes of their kind are handed over, at present."""
    vanished: int = 0
    """Files whose owner had no more room for them."""


class Tasks:
    """Each `step` hears what became of the tasks, and gives new ones. Problems go to `on_problem(key, line)`."""

    def __init__(
        self,
        manager: Manager,
        state: State,
        on_problem: Callable[[str, str | None], None],
        allowance: Allowance | None = None,
    ) -> None:
        self._day = allowance or Allowance(state.spent)
        self._manager, self._state, self._on_problem = manager, state, on_problem
        self._files: dict[str, File] = {}
        self._allowance = 0.0
        self._refilled = self._flowed = time.monotonic()
        self.counts = Counts()
        self.failing: dict[str, str] = {}

    @property
    def waiting(self) -> tuple[File, ...]:
        """What has not arrived."""
        return tuple(self._files.values())

    def has(self, path: Path) -> bool:
        return str(path) in self._files

    def offer(self, files: Iterable[File]) -> None:
        """Takes files to be uploaded; those it has already are left as they are."""
        for file in files:
            self._files.setdefault(str(file.path), file)

    def step(self, configuration: Configuration) -> None:
        """Raises Unavailable and Refused; everything is kept then."""
        self._hear(configuration)
        self._find_lost(configuration)
        self._give(configuration)
        self._flows()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _hear(self, configuration: Configuration) -> None:
        name, heard = f"{configuration.streams}-status", False
        while found := self._manager.messages(name, self._state.status):
            heard = True
            for number, payload in found:
                self._word(payload)
                self._state.status = number + 1
        if not heard and self._state.flight and self._manager.export(name).newest + 1 < self._state.status:
            self._state.status = 0

    def _word(self, payload: bytes) -> None:
        sdk = optional.load("stream_manager", "uploading")
        try:
            message = sdk.Util.deserialize_json_bytes_to_obj(payload, sdk.StatusMessage)
            context = message.status_context
            task, number, status = context.s3_export_task_definition, context.sequence_number, message.status
            path, key = unquote(urlsplit(task.input_url).path), task.key
        except (ValueError, TypeError, AttributeError):
            return
        file = self._files.get(path)
        if file is None or file.key != key:
            return
        why = f"{message.message or status.name}"
        if status == sdk.Status.Success:
            self._arrived(path, file)
        elif status == sdk.Status.Warning:
            self._tell(file, why)
        elif status in (sdk.Status.Failure, sdk.Status.Canceled) and self._state.flight.get(path) == number:
            del self._state.flight[path]
            self.counts.failures += 1
            file.pause.failed()
            self._tell(file, why)

    def _flows(self) -> None:
        """Whether what is handed over arrives."""
        now = time.monotonic()
        if not self._state.flight:
            self._flowed = now
        stands = now - self._flowed
        count = len(self._files)
        line = f"nothing has arrived in the cloud for {stands:.0f} s, {count} files wait: look at the network"
        self._on_problem("upload.stands", line if stands >= STANDS else None)

    def _arrived(self, path: str, file: File) -> None:
        self._flowed = time.monotonic()
        self._state.flight.pop(path, None)
        del self._files[path]
        self._state.objects += 1
        self._state.bytes += file.bytes
        file.arrived()
        if self.failing.pop(path, None) is not None and not self.failing:
            self._on_problem("s3", None)

    def _tell(self, file: File, why: str) -> None:
        self.failing[str(file.path)] = why
        self._on_problem("s3", f"S3 does not take {file.key}: {why}; it is tried again")

    def _find_lost(self, configuration: Configuration) -> None:
        """Tasks that Stream Manager no longer has, or has done without a word that reached us."""
        flight = self._state.flight
        for path in [path for path in flight if path not in self._files]:
            del flight[path]
        for line in ("files", "samples"):
            mine = [(path, number) for path, number in flight.items() if self._files[path].line == line]
            if not mine:
                continue
            export = self._manager.export(f"{configuration.streams}-{line}")
            for path, number in mine:
                file = self._files[path]
                file.sent = file.sent or time.monotonic()
                silent = time.monotonic() - file.sent > PATIENCE and export.exported >= number
                if export.newest < number or silent:
                    del flight[path]
                    self.counts.resent += 1

    def _give(self, configuration: Configuration) -> None:
        sdk = optional.load("stream_manager", "uploading")
        now = time.monotonic()
        flight = self._state.flight
        ranks = {"files": configuration.priorities.files, "samples": configuration.priorities.samples}
        for path in [path for path in self.failing if path not in flight and not self._files[path].path.exists()]:
            self._vanished(path)
        ready = [file for path, file in self._files.items() if path not in flight and file.pause.due]
        way = -1 if configuration.order == "live" else 1
        ready.sort(key=lambda file: (ranks[file.line], way * file.made))
        self.counts.held = sum(not self._day.allows(file.kind, file.bytes, configuration) for file in ready)
        self._refill(int(configuration.bandwidth), now)
        for file in ready:
            if len(flight) >= FLIGHT or (configuration.bandwidth and self._allowance <= 0):
                return
            if not file.path.exists():
                self._vanished(str(file.path))
                continue
            if not self._day.allows(file.kind, file.bytes, configuration):
                continue
            task = sdk.S3ExportTaskDefinition(
                input_url=file.path.absolute().as_uri(), bucket=configuration.bucket, key=file.key
            )
            try:
                data = sdk.Util.validate_and_serialize_to_json_bytes(task)
            except sdk.ValidationException as error:
                self.counts.failures += 1
                file.pause.failed()
                self._tell(file, str(error))
                continue
            flight[str(file.path)] = self._manager.append(f"{configuration.streams}-{file.line}", data)
            file.sent = now
            self._allowance -= file.bytes
            self._day.spend(file.kind, file.bytes)

    def _vanished(self, path: str) -> None:
        """Its owner had no more room for it."""
        del self._files[path]
        self.counts.vanished += 1
        if self.failing.pop(path, None) is not None and not self.failing:
            self._on_problem("s3", None)

    def _refill(self, bandwidth: int, now: float) -> None:
        self._allowance = min(self._allowance + bandwidth * (now - self._refilled), float(bandwidth))
        self._refilled = now


def definitions(configuration: Configuration) -> list[Any]:
    """The streams that StreamUpload needs in Stream Manager; the status stream first, as others name it."""
    sdk = optional.load("stream_manager", "uploading")
    names = configuration.streams
    status = sdk.MessageStreamDefinition(
        name=f"{names}-status", max_size=16 * MIB, stream_segment_size=MIB,
        strategy_on_full=sdk.StrategyOnFull.OverwriteOldestData,
    )  # fmt: skip
    made = [status]
    for line, rank in (("files", configuration.priorities.files), ("samples", configuration.priorities.samples)):
        export = sdk.S3ExportTaskExecutorConfig(
            identifier=f"{names}-{line}", priority=rank, size_threshold_for_multipart_upload_bytes=_MULTIPART,
            status_config=sdk.StatusConfig(status_level=sdk.StatusLevel.INFO, status_stream_name=status.name),
        )  # fmt: skip
        made.append(
            sdk.MessageStreamDefinition(
                name=f"{names}-{line}", max_size=16 * MIB, stream_segment_size=MIB,
                strategy_on_full=sdk.StrategyOnFull.RejectNewData,
                export_definition=sdk.ExportDefinition(s3_task_executor=[export]),
            )
        )
    if configuration.kinesis:
        kinesis = sdk.KinesisConfig(
            identifier=f"{names}-records", kinesis_stream_name=configuration.kinesis,
            priority=configuration.priorities.records, batch_size=100,
        )  # fmt: skip
        made.append(
            sdk.MessageStreamDefinition(
                name=f"{names}-records", max_size=64 * MIB, stream_segment_size=4 * MIB,
                strategy_on_full=sdk.StrategyOnFull.RejectNewData,
                export_definition=sdk.ExportDefinition(kinesis=[kinesis]),
            )
        )
    return made
