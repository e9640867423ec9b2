"""Models compiled by SageMaker Neo, run by dlr, always in a process of their own: a crash of native code ends the
worker and not the component."""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import tempfile
import threading
import time
import weakref
from pathlib import Path
from typing import Any, Final

import msgspec

from edgeloop.decode import OWN, document
from edgeloop.durable import BackOff
from edgeloop.models import child
from edgeloop.models.errors import ModelError, ModelRefused, Reason
from edgeloop.models.manifest import Manifest
from edgeloop.models.runners import neo_worker
from edgeloop.models.runners.base import DEFAULT, Array, Inputs, Options, arrange
from edgeloop.models.runners.neo_worker import RUN, Answer, Job

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0
HEALTHY: Final = 60.0
"""Seconds of life after which a worker's earlier crashes no longer count."""


class NeoRunner:
    """A worker process. After a crash the next run that is due starts it again: 0.5 s later, then twice as long each
    time, up to a minute. Runs of several threads wait for one another."""

    def __init__(self, path: Path, manifest: Manifest, options: Options = DEFAULT) -> None:
        self.inputs, self.outputs = manifest.inputs, manifest.outputs
        tensors = (*self.inputs, *self.outputs)
        if any(isinstance(extent, str) for tensor in tensors for extent in tensor.shape):
            raise ModelRefused(
                "a Neo model has no free extents", Reason.LOAD, where=path.name, mend="give numbers in the manifest"
            )
        self._job = Job(str(path.resolve()), self.inputs, self.outputs)
        self._size = neo_worker.layout(tensors)[1]
        self._timeout = options.timeout
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._pause = BackOff(FIRST_PAUSE, LONGEST_PAUSE)
        self._closed = False
        self.restarts = 0
        self._worker = self._start()

    @property
    def pid(self) -> int | None:
        worker = self._worker
        return worker.process.pid if worker else None

    def run(self, inputs: Inputs) -> list[Array]:
        feeds = arrange(inputs, self.inputs)
        with self._lock:
            worker = self._ready()
            for tensor, place in zip(self.inputs, worker.arrays, strict=False):
                place[...] = feeds[tensor.name]
            try:
                answer = worker.ask(RUN, self._timeout)
            except ModelError:
                self._crashed()
                raise
            if answer.error:
                raise ModelError("the model failed", why=answer.error)
            return [place.copy() for place in worker.arrays[len(self.inputs) :]]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._worker is not None:
                self._worker.end()
                self._worker = None

    def _ready(self) -> _Worker:
        if self._closed:
            raise ModelError("the model is closed")
        if self._worker is None:
            if not self._pause.due:
                raise ModelError("the model's process has crashed", mend=f"it starts again in {self._pause.left:.1f} s")
            try:
                self._worker = self._start()
            except ModelError:
                self._crashed()
                raise
            self.restarts += 1
        return self._worker

    def _crashed(self) -> None:
        if self._worker is not None:
            if time.monotonic() - self._worker.started > HEALTHY:
                self._pause.succeeded()
            self._worker.end()
            self._worker = None
        self._pause.failed()

    def _start(self) -> _Worker:
        worker = _Worker(self._job, self._size)
        try:
            answer = worker.ask(msgspec.json.encode(self._job), self._timeout)
        except ModelError as error:
            worker.end()
            raise ModelRefused(
                "dlr cannot load the model", Reason.LOAD, where=Path(self._job.path).name, why=error.why
            ) from None
        if answer.error:
            said = worker.said()
            worker.end()
            if answer.missing:
                mend = "add 'neo' to profiles of io.edgeloop.Runtime (x86-64)"
                raise ModelError("running a Neo model needs dlr", why=answer.error, mend=mend)
            why = answer.error if answer.error != "DLRError" else said or answer.error
            raise ModelRefused("dlr cannot load the model", Reason.LOAD, where=Path(self._job.path).name, why=why)
        return worker


class _Worker:
    """One process, its socket and the memory it shares."""

    def __init__(self, job: Job, size: int) -> None:
        self.started = time.monotonic()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptor = os.memfd_create("edgeloop-model")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            os.ftruncate(descriptor, size)
            memory = mmap.mmap(descriptor, size)
            self.process = child.start(
                neo_worker.__name__,
                str(theirs.fileno()),
                str(descriptor),
                pass_fds=(theirs.fileno(), descriptor),
                stdout=self._log,
                stderr=self._log,
            )
        finally:
            theirs.close()
            os.close(descriptor)
        self._socket = ours
        self.arrays = neo_worker.views(memory, (*job.inputs, *job.outputs))
        self.end = weakref.finalize(self, _end, self.process, ours, self._log)

    def ask(self, message: bytes, timeout: float) -> Answer:
        """Raises ModelError where no answer comes; the worker is of no use then."""
        self._socket.settimeout(timeout)
        try:
            self._socket.sendall(message)
            data = self._socket.recv(neo_worker.LARGEST)
        except TimeoutError:
            raise ModelError("the model's process does not answer", why=f"nothing came within {timeout:g} s") from None
        except OSError:
            data = b""
        if not data:
            code = self.process.wait()
            why = child.ending(code)
            if said := self.said():
                why += f", having said: {said}"
            raise ModelError("the model's process has crashed", why=why)
        return document(data, Answer, bounds=OWN)

    def said(self) -> str:
        """The last line that it printed."""
        return child.last_line(self._log)


def _end(process: subprocess.Popen[bytes], control: socket.socket, log: Any) -> None:
    control.close()
    child.kill(process)
    process.wait()
    log.close()
