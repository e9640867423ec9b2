"""One model from the version desired to the version active."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from edgeloop import __version__, clock, topics
from edgeloop.documents import encode
from edgeloop.durable import BackOff
from edgeloop.errors import EdgeloopError
from edgeloop.health import Health
from edgeloop.log import Log
from edgeloop.models import ModelError, ModelRefused, report, shadow, store
from edgeloop.models.errors import Reason
from edgeloop.models.manifest import Variant
from edgeloop.models.package import Package, open_package, signed_by, unpack
from edgeloop.models.proof import Prover
from edgeloop.models.store import Pointer, Ref, Shelf
from edgeloop.models.trial import Outcome, Task
from edgeloop.models.versions import older, rank
from model_update import probation
from model_update.configuration import DEFAULT, Configuration, Model
from model_update.fetch import fetch
from model_update.fleet import Append, Teller
from model_update.hold import Command, Hold
from model_update.progress import UNDER_WAY, Journal, Progress, Step
from model_update.taught import allowed

CONFIGURED: Final = "configuration"
KEPT: Final = 16
"""Versions, until the configuration says how many."""
TRIES: Final = 3
"""Trials without an answer, because something killed this process or the trial, before a package is refused."""
FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 600.0
WATCH: Final = 1.0
"""Seconds between two looks at the reports of those who use a model on probation."""


class Interrupted(ModelError):
    """A trial gave no answer. innocent: whether no process died of it."""

    def __init__(self, why: str, innocent: bool) -> None:
        super().__init__("the trial failed", why=why)
        self.innocent = innocent


class Delivery:
    """`advance` does what is to be done now, and says when to come again. It may be killed at any point: each step is
    whole or not there, and the next process goes on from what it finds."""

    def __init__(
        self,
        name: str,
        root: Path,
        work: Path,
        publish: Callable[[str, bytes], object],
        health: Health,
        log: Log,
        prover: Prover,
        stopped: Callable[[], bool],
        append: Append = lambda kind, record: None,
    ) -> None:
        self.name = name
        self._root, self._incoming = root, work / "incoming" / name
        self._publish, self._health, self._log = publish, health, log
        self._prover, self._stopped = prover, stopped
        self._shelf = Shelf(store.directory(root, name), name)
        self._journal = Journal(work)
        self._progress = self._journal.load(name)
        self._teller = Teller(append, name)
        self._why = ""
        self._by = CONFIGURED
        self._kept_by = self._progress.by
        self._signer = ("", "")
        self._used: tuple[Ref | None, str] = (None, "")
        self._pause = BackOff(FIRST_PAUSE, LONGEST_PAUSE)
        self._seen_whole = False
        self._vouched: tuple[str, str] | None = None
        self._keep = KEPT
        self._shade_refused, self._shade_tries = "", 0
        if self._progress.step != "fetching":
            shutil.rmtree(self._incoming, ignore_errors=True)
        self._mend()
        self._prune()

    def advance(self, model: Model, configuration: Configuration, by: str = CONFIGURED) -> float | None:
        """Seconds until the next call, None where only a new configuration changes anything. by: who wants it."""
        self._by = by
        wait = self._step(model, configuration)
        try:
            pause = self._shade(model, configuration)
        except ModelError as error:
            self._health.problem(f"model.{self.name}.shadow", str(error))
            pause = FIRST_PAUSE
        if pause is not None:
            wait = pause if wait is None else min(wait, pause)
        try:
            if self._progress.by != self._kept_by:
                self._note(self._progress.step, by=self._progress.by)
            self._tell(model, configuration)
        except EdgeloopError as error:
            self._log.warning("what became of model %s cannot be told: %s", self.name, error)
        return wait

    def _tell(self, model: Model, configuration: Configuration) -> None:
        pointer = self._shelf.pointer
        digest = pointer.active.digest if pointer and pointer.active else ""
        if self._signer[0] != digest:
            signer = signed_by(self._shelf.folder / digest, configuration.keys) if digest else ""
            self._signer = (digest, signer)
        self._teller.tell(pointer, self._progress, model.sha256, self._signer[1], self._why, self._variant(pointer))

    def _variant(self, pointer: Pointer | None) -> str:
        """Path of the variant in use, or ""."""
        if pointer is None or pointer.active is None:
            return ""
        if self._used[0] != pointer.active:
            try:
                manifest = open_package(self._shelf.folder / pointer.active.digest).manifest
                self._used = (pointer.active, manifest.variants[pointer.active.variant].path)
            except (ModelError, IndexError):
                return ""
        return self._used[1]

    def _shade(self, model: Model, configuration: Configuration) -> float | None:
        """The candidate that is wanted is fetched, checked and tried as any other; it never serves. s until it is to be
        tried again, where it could not be now."""
        key, wish, known = f"model.{self.name}.shadow", model.shadow, shadow.read(self._shelf.folder)
        if wish is None:
            if known is not None:
                shadow.write(self._shelf.folder, None)
                self._note(self._progress.step, shadow="")
                self._prune()
            self._shade_refused = ""
            self._health.clear(key)
            return None
        if known is not None and (known.digest, known.share) == (wish.sha256, wish.share):
            return None
        about = f"{wish.sha256} {_trust(configuration)}"
        if self._shade_refused == about:
            return None
        as_model = msgspec.structs.replace(model, uri=wish.uri, digest=wish.digest, version="")
        try:
            package = self._brought(as_model, configuration)
            if package.manifest.name != self.name:
                why = f"it is {package.manifest.name!r}"
                raise ModelRefused("the package is of another model", Reason.NAME, where=key, why=why)
            variant, _ = self._best(package, as_model, configuration)
        except ModelRefused as error:
            self._shade_refused = about
            self._health.count(f"refusals.{self.name}")
            self._health.problem(key, f"the candidate {wish.sha256[:12]} is refused: {error}")
            return None
        except ModelError as error:
            self._shade_tries += isinstance(error, Interrupted) and not error.innocent
            if self._shade_tries >= TRIES:
                self._shade_refused, self._shade_tries = about, 0
                self._health.problem(key, f"the candidate {wish.sha256[:12]} is refused: {error}")
                return None
            self._health.problem(key, f"the candidate {wish.sha256[:12]}, trying again in {FIRST_PAUSE:g} s: {error}")
            return None if self._stopped() else FIRST_PAUSE
        fresh = shadow.Shadow(
            name=self.name, digest=package.digest, version=package.manifest.version, variant=variant, share=wish.share,
            since=clock.now(),
        )  # fmt: skip
        shadow.write(self._shelf.folder, fresh)
        self._note(self._progress.step, shadow=package.digest, version=fresh.version, share=wish.share)
        self._prune()
        self._health.clear(key)
        return None

    def _step(self, model: Model, configuration: Configuration) -> float | None:
        try:
            try:
                self._vouch(configuration)
                model = self._held(model)
                hold = self._progress.hold
                self._progress = msgspec.structs.replace(self._progress, by=f"hold of {hold.by}" if hold else self._by)
                wait = self._advance(model, configuration)
            except ModelRefused as error:
                self._refuse(model.sha256, _key(model, configuration), str(error), error.reason)
                wait = None
        except ModelError as error:
            if self._stopped():
                return None
            pause = self._pause.failed()
            self._health.count(f"retries.{self.name}")
            self._health.problem(f"model.{self.name}", f"{self._serving()}, trying again in {pause:g} s: {error}")
            return pause
        self._pause.succeeded()
        return wait

    def order(self, command: Command, model: Model) -> None:
        """A hold begins or ends, on the record. Raises ModelError where there is no such version here."""
        if command.command == "release":
            if self._progress.hold:
                self._note(self._progress.step, hold=None, released=self._progress.hold.version, by=command.by)
            return
        here = [ref for ref in self._progress.committed if (self._shelf.folder / ref.digest).is_dir()]
        ref = next((ref for ref in here if ref.version == command.version), None)
        if ref is None:
            why = f"committed versions on the disk: {', '.join(ref.version for ref in here) or 'none'}"
            raise ModelError("there is no such version to hold", where=f"{self.name} {command.version}", why=why)
        hold = Hold(version=ref.version, digest=ref.digest, by=command.by, time=clock.now(), wish=_wish(model))
        self._note(self._progress.step, hold=hold, held=ref.version, by=command.by)

    def _held(self, model: Model) -> Model:
        """What is wanted: what an operator holds, else what is configured."""
        hold = self._progress.hold
        if hold is None:
            return model
        folder = self._shelf.folder / hold.digest
        if hold.wish != _wish(model) or not folder.is_dir():
            why = "the configuration changed" if folder.is_dir() else "it is not on the disk any more"
            self._note(self._progress.step, hold=None, released=hold.version, why=why)
            return model
        return msgspec.structs.replace(model, uri=folder.as_uri(), digest=hold.digest, older="allowed")

    def _mend(self) -> None:
        """What is lost of the store is made again of what is known here, and the other way round."""
        pointer, committed, now = self._shelf.pointer, self._progress.committed, clock.now()
        if self._shelf.damage:
            said = f"{self._shelf.damage}; "
            if committed:
                self._announce(self._shelf.restore(committed[0], self._progress.highest, now))
                said += f"{committed[0].version}, committed last, serves"
            else:
                said += "the default serves until it is written"
            self._health.problem(f"model.{self.name}.store", said)
        elif pointer and pointer.active and pointer.state == "committed":
            self._progress = self._with(pointer)

    def _with(self, pointer: Pointer) -> Progress:
        """The progress, with what is committed."""
        ref = pointer.active
        assert ref is not None
        committed = (ref, *(known for known in self._progress.committed if known.digest != ref.digest))
        return msgspec.structs.replace(self._progress, committed=committed[: self._keep], highest=self._shelf.mark)

    def _committed(self, pointer: Pointer, why: str) -> None:
        self._announce(pointer)
        self._progress = self._with(pointer)
        self._note("committed", digest=pointer.active.digest if pointer.active else "", why=why)
        self._prune()

    def _prune(self) -> None:
        under_way = {self._progress.digest} if self._progress.step in UNDER_WAY else set[str]()
        tried = shadow.read(self._shelf.folder)
        under_way |= {shadow.FILE, tried.digest} if tried is not None else set()
        self._shelf.prune(under_way | {ref.digest for ref in self._progress.committed[: self._keep]})

    def _advance(self, model: Model, configuration: Configuration) -> float | None:
        self._keep = configuration.keep
        if model.uri == DEFAULT:
            pointer = self._shelf.pointer
            if pointer is not None and pointer.active is not None:
                self._announce(self._shelf.activate(None, clock.now()))
                self._note("idle", digest="")
                self._prune()
                self._vouch(configuration)
            self._health.clear(f"model.{self.name}")
            return None
        self._watch(configuration)
        if not model.sha256:
            mend = "`edgeloop deploy` does it; or write uri and digest of one package"
            raise ModelError("the version wanted was not resolved", where=f"models.{self.name}.version", mend=mend)
        pointer = self._shelf.pointer
        if pointer is not None and pointer.active is not None and pointer.active.digest == model.sha256:
            if pointer.state == "probation":
                self._health.clear(f"model.{self.name}")
                return WATCH
            if self._whole(pointer.active):
                self._health.clear(f"model.{self.name}")
                return None
        if reason := self._progress.refused.get(_key(model, configuration)):
            self._health.problem(f"model.{self.name}", f"{self._serving()}; {model.sha256[:12]} is refused: {reason}")
            return self._pace()
        package = self._bring(model, configuration)
        if package.manifest.name != self.name:
            why = f"it is {package.manifest.name!r}"
            raise ModelRefused("the package is of another model", Reason.NAME, where=f"models.{self.name}", why=why)
        self._made_here(package, model, configuration)
        self._not_older(package, model)
        self._activate(package, self._choose(package, model, configuration), _key(model, configuration))
        return WATCH

    def _vouch(self, configuration: Configuration) -> None:
        """What served before there were `keys`, or these keys, is held against them, and told; it serves on."""
        ref = self._shelf.pointer.active if self._shelf.pointer else None
        about = (ref.digest, _trust(configuration)) if ref is not None and configuration.keys else None
        if about == self._vouched:
            return
        line = None
        if ref is not None and about is not None:
            try:
                open_package(self._shelf.folder / ref.digest, keys=configuration.keys)
            except ModelRefused as error:
                if error.reason in (Reason.UNSIGNED, Reason.SIGNATURE):
                    line = f"{ref.version}, which serves, came before the keys: {error}"
            except ModelError as error:
                line = f"{ref.version}, which serves, could not be held against the keys: {error}"
        self._vouched = about
        self._health.set(f"model.{self.name}.keys", line)

    def _made_here(self, package: Package, model: Model, configuration: Configuration) -> None:
        """Raises ModelRefused for what a device made that is not this one, or that the line does not allow."""
        made_on = package.manifest.provenance.made_on
        if not made_on:
            return
        if made_on != os.environ.get("AWS_IOT_THING_NAME", "unknown"):
            why = f"it was taught on {made_on}, for that one alone"
            raise ModelRefused("the model is another device's", Reason.ORIGIN, where=f"models.{self.name}", why=why)
        if not self._is_ours(model.uri):
            why = "what a device made is taken from its own work folders alone"
            raise ModelRefused("the package does not come from this device", Reason.ORIGIN, where=model.uri, why=why)
        if not allowed(model, configuration):
            mend = f"set models.{self.name}.taught: allowed, or have it signed"
            raise ModelRefused("what was made on the device is not taken", Reason.ORIGIN, where=model.uri, mend=mend)

    def _is_ours(self, uri: str) -> bool:
        """Whether a file is in a work folder below this nucleus's root."""
        parts = urlsplit(uri)
        path = Path(unquote(parts.path)).resolve()
        return parts.scheme == "file" and path.is_relative_to((self._root / "work").resolve())

    def _not_older(self, package: Package, model: Model) -> None:
        """Raises ModelRefused for a step back that nobody allowed."""
        version = package.manifest.version
        mark = max(self._shelf.mark, self._progress.highest, key=rank)
        if model.older == "allowed" or not older(version, mark):
            return
        mend = f"set models.{self.name}.older: allowed, or hold the version"
        raise ModelRefused("the version is older", Reason.OLDER, why=f"{version} after {mark}", mend=mend)

    def _pace(self) -> float | None:
        pointer = self._shelf.pointer
        return WATCH if pointer and pointer.state == "probation" else None

    def _whole(self, ref: Ref) -> bool:
        """Whether the active package is what it should be; looked at once in the life of a process."""
        if not self._seen_whole:
            try:
                open_package(self._shelf.folder / ref.digest)
            except ModelError as error:
                self._log.warning("%s", error)
                return False
            self._seen_whole = True
        return True

    def _bring(self, model: Model, configuration: Configuration) -> Package:
        """The package in the store, checked."""
        return self._brought(model, configuration, self._note)

    def _brought(
        self, model: Model, configuration: Configuration, note: Callable[..., object] = lambda *step, **facts: None
    ) -> Package:
        folder = self._shelf.folder / model.sha256
        proved = any(ref.digest == model.sha256 for ref in self._progress.committed)
        keys = {} if model.taught == "allowed" and self._is_ours(model.uri) else configuration.keys
        if folder.exists():
            try:
                known = open_package(folder, keys={} if proved else keys)
                return known if proved else self._vouched_for(known, keys, configuration)
            except ModelRefused:
                shutil.rmtree(folder, ignore_errors=True)
        note("fetching", digest=model.sha256, uri=model.uri)
        path = fetch(
            model.uri, model.sha256, self._incoming, configuration.limit, self._stopped, configuration.bandwidth
        )
        note("checking", digest=model.sha256)
        try:
            package = unpack(path, self._shelf.folder, model.sha256, keys=keys, limit=configuration.limit)
            return self._vouched_for(package, keys, configuration)
        finally:
            shutil.rmtree(self._incoming, ignore_errors=True)

    @staticmethod
    def _vouched_for(package: Package, keys: object, configuration: Configuration) -> Package:
        """What is not of this device's making needs its signature, from wherever it comes."""
        if not keys and configuration.keys and not package.manifest.provenance.made_on:
            return open_package(package.folder, keys=configuration.keys)
        return package

    def _choose(self, package: Package, model: Model, configuration: Configuration) -> int:
        """The fastest variant that gives what the golden set says. Raises ModelRefused where none does."""
        progress = self._progress
        if progress.step == "proved" and progress.digest == package.digest:
            return progress.variant
        if progress.step == "trying" and progress.digest == package.digest and progress.tries >= TRIES:
            raise ModelRefused(
                "the model cannot be tried", Reason.CRASHES, why=f"{progress.tries} trials ended without an answer"
            )
        tries = progress.tries + 1 if progress.digest == package.digest and progress.step == "trying" else 1
        self._candidates(package, configuration)
        self._note("trying", digest=package.digest, tries=tries)
        try:
            index, outcome = self._best(package, model, configuration)
        except Interrupted as error:
            if error.innocent or self._stopped():
                self._note("trying", tries=tries - 1)
            raise
        chosen = package.manifest.variants[index]
        facts = {"path": chosen.path, "precision": chosen.precision, "latency_ms": 1e3 * outcome.latency}
        self._note("proved", digest=package.digest, variant=index, **facts)
        return index

    @staticmethod
    def _candidates(package: Package, configuration: Configuration) -> tuple[Variant, ...]:
        """Raises ModelRefused where there is none for this machine."""
        candidates = package.manifest.candidates(configuration.allowed)
        if not candidates:
            why = f"it has {', '.join(f'{v.runtime} for {v.architecture}' for v in package.manifest.variants)}"
            raise ModelRefused("the model has no variant for this machine and these runtimes", Reason.MACHINE, why=why)
        return tuple(candidates)

    def _best(self, package: Package, model: Model, configuration: Configuration) -> tuple[int, Outcome]:
        """The place of the fastest variant that passes, and how it did."""
        candidates = self._candidates(package, configuration)
        task = Task(memory=int(model.memory))
        outcomes: list[Outcome] = []
        for variant in candidates:
            outcome = self._prover.prove(package, variant, task, configuration.timeout / clock.NS)
            outcomes.append(_within(outcome, model))
            self._log.info("tried", model=self.name, variant=variant.path, outcome=msgspec.to_builtins(outcome))
        passed = [pair for pair in zip(outcomes, candidates, strict=True) if not pair[0].error]
        if not passed:
            errors = "; ".join(dict.fromkeys(outcome.error for outcome in outcomes))
            if all(outcome.final for outcome in outcomes):
                reason = next((o.reason for o in outcomes if o.reason), Reason.CRASHES)
                raise ModelRefused("it does not pass", reason, why=errors)
            raise Interrupted(errors, innocent=not any(outcome.crashed for outcome in outcomes))
        outcome, best = min(passed, key=lambda pair: pair[0].latency)
        return package.manifest.variants.index(best), outcome

    def _activate(self, package: Package, variant: int, key: str) -> None:
        ref = Ref(digest=package.digest, version=package.manifest.version, variant=variant)
        self._note("active", key=key, version=ref.version)
        pointer = self._shelf.activate(ref, clock.now())
        if pointer.state == "committed":
            self._committed(pointer, "it has proved itself before")
        else:
            self._announce(pointer)
        self._health.count(f"activations.{self.name}")
        self._health.clear(f"model.{self.name}")
        self._health.clear(f"model.{self.name}.store")

    def _watch(self, configuration: Configuration) -> None:
        """A model on probation, whatever is desired by now: it stays, goes back, or goes on being watched."""
        pointer = self._shelf.pointer
        if pointer is None or pointer.active is None or pointer.state != "probation":
            return
        digest = pointer.active.digest
        if self._progress.digest == digest and self._progress.step == "rolled_back":
            self._go_back()
            return
        reports = report.all_of(self._root, self.name)
        verdict, why, reason = probation.judge(pointer, reports, clock.now(), configuration.probation)
        if verdict == "stay":
            self._committed(self._shelf.commit(clock.now()), why)
            self._seen_whole = True
            self._health.count(f"commits.{self.name}")
        elif verdict == "back":
            key = self._progress.key if self._progress.key.startswith(digest) else digest
            self._refuse(digest, key, f"on probation, {why}", reason or Reason.FAILURES, step="rolled_back")
            self._go_back()

    def _go_back(self) -> None:
        self._announce(self._shelf.roll_back(clock.now()))
        self._health.count(f"rollbacks.{self.name}")
        self._prune()

    def _refuse(self, digest: str, key: str, why: str, reason: Reason, step: Step = "refused") -> None:
        refused = {**self._progress.refused, key: why}
        self._note(step, digest=digest, refused=refused, reason=reason, why=why)
        if step == "refused":
            self._health.count(f"refusals.{self.name}")
            self._prune()
        self._health.problem(f"model.{self.name}", f"{self._serving()}; {digest[:12]} is refused: {why}")

    def _note(self, step: Step, **facts: Any) -> None:
        names = set(Progress.__struct_fields__)
        changes = {key: value for key, value in facts.items() if key in names}
        self._progress = msgspec.structs.replace(self._progress, step=step, **changes)
        self._why = str(facts.get("why", ""))
        shown = {key: value for key, value in facts.items() if key not in ("refused", "digest", "key", "hold")}
        self._journal.save(self._progress, **shown)
        self._kept_by = self._progress.by
        self._log.info("model %s: %s", self.name, step, digest=self._progress.digest[:12], **shown)

    def _announce(self, pointer: Pointer) -> None:
        self._publish(topics.model(self.name), encode(msgspec.to_builtins(pointer)))
        self._health.gauge(f"generation.{self.name}", pointer.generation)

    def _serving(self) -> str:
        pointer = self._shelf.pointer
        return f"{pointer.active.version} serves" if pointer and pointer.active else "the default serves"


def _within(outcome: Outcome, model: Model) -> Outcome:
    """The outcome, judged by the budget of time too."""
    if outcome.error or not model.latency or outcome.latency * clock.NS <= model.latency:
        return outcome
    error = f"a run takes {1e3 * outcome.latency:.1f} ms of at most {model.latency}"
    return msgspec.structs.replace(outcome, error=error, reason=Reason.LATENCY, final=True)


def _key(model: Model, configuration: Configuration) -> str:
    """What a refusal is bound to: the same bytes may pass with other software, or when a person says so."""
    versions = [__version__]
    for runtime in sorted(configuration.allowed):
        try:
            versions.append(f"{runtime}-{metadata.version(runtime)}")
        except metadata.PackageNotFoundError:
            versions.append(f"no-{runtime}")
    budgets = f"{model.latency} {model.memory} {model.taught}".rstrip()
    return f"{model.sha256} {model.attempt} {model.older} {budgets} {' '.join(versions)} {_trust(configuration)}"


def _trust(configuration: Configuration) -> str:
    return hashlib.sha256(msgspec.json.encode(configuration.keys, order="deterministic")).hexdigest()[:8]


def _wish(model: Model) -> str:
    return hashlib.sha256(repr(msgspec.structs.replace(model, shadow=None)).encode()).hexdigest()[:16]
