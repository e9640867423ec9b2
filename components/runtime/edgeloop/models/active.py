"""The model to infer with, as the store says, whatever happens to it."""

from __future__ import annotations

import shutil
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from edgeloop import clock
from edgeloop.models import report, store
from edgeloop.models.errors import ModelError, ModelRefused, Reason
from edgeloop.models.golden import worst
from edgeloop.models.manifest import Manifest, Variant
from edgeloop.models.package import Package, open_package, unpack
from edgeloop.models.report import Fate, Origin, Report, Usual
from edgeloop.models.runners import Options, Runner, open_runner
from edgeloop.models.runners.base import DEFAULT
from edgeloop.models.store import Pointer, Ref
from edgeloop.models.watch import Watched

PERIOD: Final = 30.0
"""Seconds between two looks at the store where no notice comes, and between two reports."""
ON_PROBATION: Final = 5.0
STRIKES: Final = 2
"""Crashes after which a model is not tried again; on probation one is enough."""
STARTS: Final = 3
"""Starts of the process with a model on probation, unclean ends between them, from which on it is not used."""
TELLING: Final = 30
"""Inferences from which on they tell what a model is like."""
FORGOTTEN: Final = 3600 * clock.NS
"""Crashes count together (ns) while a nucleus counts them together; a load that succeeds ends the count."""
HUNG: Final = 30.0
"""Seconds after which an inference hangs. One alone cannot be ended within a process: the process is."""
_WATCH: Final = 1.0
_PATIENCE: Final = 2.0

Open = Callable[[Package, Variant, Options], Runner]
Reader = Callable[[Manifest, Path | None], Any]
"""Makes what reads the outputs of a model with a head: `edgeloop.models.decoders.make`, where images are judged."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in use. It stays whole as long as someone holds it, whatever is active by then. place: of the variant in
    the manifest. decoder: reads its outputs, where its manifest has a head."""

    manifest: Manifest
    place: int
    runner: Runner
    digest: str
    generation: int
    origin: Origin
    decoder: Any = None


class ActiveModel:
    """`current` is what to infer with, or None; ask for it at the beginning of each batch or frame.

    A new model is loaded and tried on a case of its golden set beside the one in use, then takes its place in one step.
    A model that cannot be loaded, or that ended the process while it was, makes way for the previous one, and that for
    the default; the report says so. A model that hangs is marked, so that it is not taken again, and `on_hung` is
    called with a line, again and again, until the process ends. `default`: a package's archive that came with the
    component.
    """

    def __init__(
        self,
        name: str,
        component: str,
        root: Path,
        *,
        default: Path | None = None,
        options: Options = DEFAULT,
        on_problem: Callable[[str, str | None], None] = lambda key, line: None,
        on_change: Callable[[Loaded | None], None] = lambda loaded: None,
        on_hung: Callable[[str], object] = lambda line: None,
        opener: Open = open_runner,
        reader: Reader = lambda manifest, folder: None,
        period: float = PERIOD,
        hung: float = HUNG,
    ) -> None:
        self._name, self._default, self._options = name, default, options
        self._folder = store.directory(root, name)
        self._work = root / "work" / component
        self._path = report.path(self._work, name)
        self._on_problem, self._on_change, self._open, self._period = on_problem, on_change, opener, period
        self._reader = reader
        self._on_hung, self._limit = on_hung, hung
        self._watched: list[tuple[str, weakref.ref[Watched]]] = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._wake, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"model {name}", daemon=True)
        self._watcher = threading.Thread(target=self._watch, name=f"watch {name}", daemon=True)
        self._pointer: Pointer | None = None
        self._looked = self._again = False
        self._default_package: Package | None = None
        self._loaded: Loaded | None = None
        self._inferences = self._failures = 0
        self._said: dict[str, int] = {}
        self._written = 0.0
        self._report = self._remembered(component)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Loads what there is, then watches the store."""
        self._watcher.start()
        self._look()
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)
        self._report = msgspec.structs.replace(self._report, trying="")
        self._say(clean=True)
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.runner.close()

    @property
    def current(self) -> Loaded | None:
        return self._loaded

    def notice(self, topic: str = "", payload: bytes = b"") -> None:
        """Something may have changed: the handler of the model's topic."""
        self._wake.set()

    def used(self, loaded: Loaded, count: int = 1, said: str = "") -> None:
        """Inferences that came out well. said: their verdict, where there is one."""
        if loaded.origin == "active" and loaded.generation == self._report.generation:
            with self._lock:
                self._inferences += count
                if said:
                    self._said[said] = self._said.get(said, 0) + count

    def failed(self, loaded: Loaded, count: int = 1) -> None:
        """Inferences that raised."""
        if loaded.origin == "active" and loaded.generation == self._report.generation:
            with self._lock:
                self._failures += count

    @property
    def report(self) -> Report:
        """What is said of it, counts included."""
        with self._lock:
            return self._counted()

    def _counted(self) -> Report:
        """With the lock held."""
        ms = self._loaded.runner.usual if self._loaded and isinstance(self._loaded.runner, Watched) else 0.0
        return msgspec.structs.replace(
            self._report, inferences=self._inferences, failures=self._failures, said=dict(self._said), ms=round(ms, 3)
        )

    # -- inside --------------------------------------------------------------------------------------------------------

    def _remembered(self, component: str) -> Report:
        known = report.read(self._path) or Report(component=component, name=self._name, clean=True)
        if abs(clock.now() - known.time) > FORGOTTEN:
            known = msgspec.structs.replace(known, strikes={})
        if known.trying:
            strikes = {**known.strikes, known.trying: known.strikes.get(known.trying, 0) + 1}
            known = msgspec.structs.replace(known, strikes=strikes, trying="")
        self._inferences, self._failures, self._said = known.inferences, known.failures, dict(known.said)
        return known

    def _run(self) -> None:
        while not self._stopped.is_set():
            probation = self._pointer is not None and self._pointer.state == "probation"
            soon = probation or self._again
            self._wake.wait(min(ON_PROBATION, self._period) if soon else self._period)
            self._wake.clear()
            if not self._stopped.is_set():
                self._look()
                if time.monotonic() - self._written >= (ON_PROBATION if probation else self._period) / 2:
                    self._say()

    def _watch(self) -> None:
        while not self._stopped.wait(min(_WATCH, self._limit / 4)):
            for digest, reference in self._watched:
                watched = reference()
                if watched is not None and watched.longest > self._limit:
                    self._hangs(digest)

    def _hangs(self, digest: str) -> None:
        line = f"an inference of model {self._name} ({digest[:12]}) has taken more than {self._limit:g} s: it hangs"
        known = self._report
        if known.strikes.get(digest, 0) < STRIKES:
            strikes = {**known.strikes, digest: STRIKES}
            self._report = msgspec.structs.replace(known, strikes=strikes)
            if digest == known.digest:
                self._report = msgspec.structs.replace(self._report, fate="crashed", reason=line)
            self._say()
            self._on_problem(f"model.{self._name}.hung", line)
        self._on_hung(line)

    def _look(self) -> None:
        try:
            pointer = store.read(self._folder)
        except ModelError as error:
            self._on_problem(f"model.{self._name}.store", str(error))
            pointer = self._pointer
        else:
            self._on_problem(f"model.{self._name}.store", None)
        before, first = self._pointer, not self._looked
        self._pointer, self._looked = pointer, True
        if first:
            self._began(pointer)
        generation = pointer.generation if pointer else 0
        if first or _target(pointer) != _target(before):
            if generation != self._report.generation or (pointer and _digest(pointer) != self._report.digest):
                self._begin_anew()
            self._change(pointer)
        elif self._again:
            self._change(pointer)

    def _begin_anew(self) -> None:
        """The counts of another generation; what the model before was like is kept, if it was used enough to tell."""
        with self._lock:
            told = self._counted()
            enough = sum(told.said.values()) >= TELLING or (not told.said and told.inferences >= TELLING)
            before = Usual(said=told.said, ms=told.ms or self._report.ms) if enough else told.before
            self._inferences = self._failures = 0
            self._said = {}
            self._report = msgspec.structs.replace(self._report, starts=1, strikes={}, before=before)

    def _began(self, pointer: Pointer | None) -> None:
        """Counts this start of the process."""
        known = self._report
        same = pointer is not None and known.generation == pointer.generation
        starts = known.starts + (not known.clean) if same else 1
        self._report = msgspec.structs.replace(known, starts=max(1, starts), clean=False)

    def _change(self, pointer: Pointer | None) -> None:
        """Finds what can serve, and takes it into use."""
        active = pointer.active if pointer else None
        generation = pointer.generation if pointer else 0
        self._report = msgspec.structs.replace(
            self._report, generation=generation, digest=active.digest if active else "", fate="absent", reason=""
        )
        loaded, lines = None, list[str]()
        self._again = False
        if pointer and active:
            loaded, fate, reason = self._try_active(pointer, active)
            self._report = msgspec.structs.replace(self._report, fate=fate, reason=reason)
            if loaded is None:
                lines.append(f"model {active.version} ({active.digest[:12]}): {reason}")
                if pointer.previous:
                    loaded = self._try(pointer.previous, generation, "previous", lines)
        if loaded is None and self._default is not None:
            loaded = self._try(None, generation, "default", lines)
        if loaded is None and not lines:
            lines.append("no model is active and none came with the component")
        serving = f"; {loaded.manifest.version} ({loaded.origin}) serves" if loaded else "; nothing serves"
        self._on_problem(f"model.{self._name}", "; ".join(lines) + serving if lines else None)
        changed, self._loaded = loaded != self._loaded, loaded
        origin: Origin = loaded.origin if loaded else "none"
        self._report = msgspec.structs.replace(
            self._report, serving=loaded.digest if loaded else "", origin=origin, trying=""
        )
        self._say()
        if changed:
            self._on_change(loaded)

    def _try_active(self, pointer: Pointer, active: Ref) -> tuple[Loaded | None, Fate, str]:
        strikes = self._report.strikes.get(active.digest, 0)
        probation = pointer.state == "probation"
        if strikes >= (1 if probation else STRIKES):
            return None, "crashed", f"it ended the process or hung, {strikes} times"
        if probation and self._report.starts >= STARTS:
            return None, "crashed", f"the process died {self._report.starts - 1} times with it"
        try:
            return self._load(active, pointer.generation, "active"), "loaded", ""
        except ModelRefused as error:
            return None, "rejected", str(error)
        except ModelError as error:
            self._again = True
            return None, "waiting", str(error)

    def _try(self, ref: Ref | None, generation: int, origin: Origin, lines: list[str]) -> Loaded | None:
        try:
            return self._load(ref, generation, origin)
        except ModelError as error:
            self._again = self._again or not isinstance(error, ModelRefused)
            lines.append(f"the {origin} one: {error}")
            return None

    def _load(self, ref: Ref | None, generation: int, origin: Origin) -> Loaded:
        held = self._loaded
        if held and ref and held.digest == ref.digest and held.place == ref.variant:
            return replace(held, generation=generation, origin=origin)
        if ref is not None:
            package = open_package(self._folder / ref.digest)
            if ref.variant >= len(package.manifest.variants):
                raise ModelRefused(
                    "the store names a variant that the model does not have", Reason.FORM, where=ref.digest[:12]
                )
            place = ref.variant
        else:
            package, place = self._came_with_it()
            if held and held.digest == package.digest and held.place == place:
                return replace(held, generation=generation, origin=origin)
        variant = package.manifest.variants[place]
        if origin != "active" and self._report.strikes.get(package.digest, 0) >= STRIKES:
            raise ModelRefused("it ended the process or hung", Reason.CRASHES, where=package.digest[:12])
        fate: Fate = "trying" if origin == "active" else self._report.fate
        self._report = msgspec.structs.replace(self._report, trying=package.digest, fate=fate)
        self._say()
        try:
            decoder = self._reader(package.manifest, package.folder)
            runner = Watched(self._open(package, variant, self._options))
            alive = [(digest, known) for digest, known in self._watched if known() is not None]
            self._watched = [*alive, (package.digest, weakref.ref(runner))]
            self._first_use(package, variant, runner)
        finally:
            self._report = msgspec.structs.replace(self._report, trying="")
        strikes = {digest: count for digest, count in self._report.strikes.items() if digest != package.digest}
        self._report = msgspec.structs.replace(self._report, strikes=strikes)
        return Loaded(package.manifest, place, runner, package.digest, generation, origin, decoder)

    def _first_use(self, package: Package, variant: Variant, runner: Runner) -> None:
        case, golden = package.cases()[0], package.manifest.tolerance(variant)
        ratio = worst(case, runner.run(case.inputs), golden)
        if ratio > 1 and golden.agreement == 1:
            raise ModelRefused(
                "it gives other results here than its golden set says", Reason.GOLDEN, where=package.digest[:12]
            )

    def _came_with_it(self) -> tuple[Package, int]:
        """The default model's package, and the place of its variant."""
        assert self._default is not None
        if self._default_package is None:
            folder = self._work / report.FOLDER / "default" / self._name
            self._default_package = unpack(self._default, folder)
            for other in folder.iterdir():
                if other.name != self._default_package.digest:
                    shutil.rmtree(other, ignore_errors=True)
        manifest = self._default_package.manifest
        candidates = manifest.candidates(("onnxruntime",))
        if not candidates:
            raise ModelRefused(
                "the default model has no variant for this machine", Reason.MACHINE, where=str(self._default)
            )
        return self._default_package, manifest.variants.index(candidates[0])

    def _say(self, clean: bool = False) -> None:
        with self._lock:
            self._report = msgspec.structs.replace(self._counted(), time=clock.now(), clean=clean)
            current = self._report
        try:
            with self._writing:
                report.write(self._path, current)
        except ModelError as error:
            self._on_problem(f"model.{self._name}.report", str(error))
        else:
            self._written = time.monotonic()
            self._on_problem(f"model.{self._name}.report", None)


def _target(pointer: Pointer | None) -> tuple[int, Ref | None]:
    return (pointer.generation, pointer.active) if pointer else (0, None)


def _digest(pointer: Pointer) -> str:
    return pointer.active.digest if pointer.active else ""
