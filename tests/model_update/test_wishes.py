"""The last good model is never lost: whatever is wished, killed, refused or crashed, in whatever order."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edgeloop.models import report, trial
from edgeloop.models.package import open_package
from edgeloop.models.proof import Prover

from .conftest import USER, Site, linear_model

NAMES = ("a", "b", "c", "bad")
CHANGES = ("replace", "rename", "fsync", "mkdir", "rmdir", "unlink")


class Killed(BaseException):
    """In the place of a SIGKILL."""


@contextmanager
def killed_at(number: int) -> Iterator[None]:
    """Ends the block before its n-th change of the file system."""
    count = 0

    def counted(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count >= number:
                raise Killed
            return real(*arguments, **options)

        return call

    with mock.patch.multiple(os, **{name: counted(getattr(os, name)) for name in CHANGES}), suppress(Killed):
        yield


class Wishes(RuleBasedStateMachine):
    """The abstract model: what was ever committed since the default was last wished for is where it can go back to."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.site = Site(Path(self.folder.name) / "root")
        self.committed: set[str] = set()
        self.struck: dict[str, int] = {}
        self.generation = 0

    @initialize()
    def packages(self) -> None:
        self.made = {}
        for number, name in enumerate(NAMES):
            files = {
                "model.onnx": linear_model.linear(float(number)),
                "golden.npz": linear_model.golden.encode(linear_model.cases_of(9.0 if name == "bad" else number)),
            }
            path = Path(self.folder.name) / f"{name}.tar"
            self.made[name] = (path, linear_model.pack(path, linear_model.manifest(files), files))

    def look(self) -> None:
        """A round of ModelUpdate, and what the abstract model makes of it."""
        self.site.updates._due.clear()
        try:
            self.site.updates.advance()
        finally:
            self.learn()

    def learn(self) -> None:
        pointer = self.site.pointer
        if pointer and pointer.generation != self.generation:
            self.generation, self.struck = pointer.generation, {}
        if pointer and pointer.state == "committed":
            self.committed = {*self.committed, pointer.active.digest} if pointer.active else set()

    @rule(name=st.sampled_from(NAMES))
    def wish(self, name: str) -> None:
        self.site.want(*self.made[name])
        self.look()

    @rule()
    def wish_the_default(self) -> None:
        self.site.want("default")
        self.look()

    @rule(name=st.sampled_from(NAMES), number=st.integers(1, 60))
    def wish_and_be_killed(self, name: str, number: int) -> None:
        self.site.want(*self.made[name])
        with killed_at(number):
            self.look()
        configuration = self.site.updates._configuration
        self.site.again().apply(configuration)

    @rule()
    def restart(self) -> None:
        configuration = self.site.updates._configuration
        self.site.again().apply(configuration)
        self.look()

    @precondition(lambda self: self.site.pointer is not None)
    @rule(well=st.integers(0, 10), badly=st.sampled_from((0, 10)))
    def use(self, well: int, badly: int) -> None:
        with self.site.user() as user:
            if user.current is not None:
                user.used(user.current, well)
                user.failed(user.current, badly)
        self.look()

    @precondition(lambda self: self.site.pointer is not None and self.site.pointer.active is not None)
    @rule(loading=st.booleans())
    def user_dies(self, loading: bool) -> None:
        path = report.path(self.site.root / "work" / USER, "linear")
        known = report.read(path)
        pointer = self.site.pointer
        if known is None or pointer is None or pointer.active is None or known.generation != pointer.generation:
            return
        digest = pointer.active.digest
        if loading:
            self.struck[digest] = self.struck.get(digest, 0) + 1
        report.write(path, msgspec.structs.replace(known, trying=digest if loading else "", clean=False))

    @rule()
    def an_idle_night(self) -> None:
        for _ in range(3):
            self.look()

    @invariant()
    def something_good_serves(self) -> None:
        pointer = self.site.pointer
        if pointer is None:
            return
        refs = [ref for ref in (pointer.active, pointer.previous) if ref]
        for ref in refs:
            open_package(self.site.work / "store" / "linear" / ref.digest)
        if not self.committed:
            return
        good = [ref.digest for ref in refs if ref.digest in self.committed]
        assert good, "the way back is lost"
        with self.site.user() as user:
            serving = user.current.digest if user.current else ""
        if all(self.struck.get(digest, 0) < 2 for digest in good):
            on_probation = pointer.state == "probation" and pointer.active and serving == pointer.active.digest
            assert serving in self.committed or on_probation, "nothing good serves"
        self.learn()

    def teardown(self) -> None:
        """A kill closes the files of a process; here, where it is an exception, nobody does."""
        for link in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if str(link.readlink()).startswith(self.folder.name):
                    os.close(int(link.name))
        self.folder.cleanup()


LONG = os.environ.get("EDGELOOP_LONG") == "1"
PARTS, SEQUENCES = (10, 1_000) if LONG else (1, 12)


@pytest.mark.parametrize("part", range(PARTS))
def test_the_last_good_model_is_never_lost(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 sequences in the long form, in ten parts with a seed each."""

    def quick(self: Prover, package: Any, variant: Any, task: Any, timeout: float) -> trial.Outcome:
        return trial.attempt(package.folder, 0, task)

    monkeypatch.setattr(trial, "_TIMED", 0.0)
    monkeypatch.setattr(Prover, "prove", quick)
    run_state_machine_as_test(
        seed(part)(Wishes),
        settings=settings(
            max_examples=SEQUENCES, stateful_step_count=14, deadline=None, derandomize=False, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
