"""The skeleton of a component.

Its `__main__.py` is no more than

    def main() -> int:
        with App.start(DECLARATION) as app:
            app.stop.wait()
        return 0

and what it does meanwhile.
"""

from __future__ import annotations

import argparse
import os
import pwd
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

import msgspec

from edgeloop import profiles, secret, topics
from edgeloop.bus import Bus
from edgeloop.config.declaration import Declaration
from edgeloop.config.live import LiveConfiguration
from edgeloop.durable import BackOff, replace
from edgeloop.errors import EdgeloopError
from edgeloop.health import Exposed, Health, MetricFiles
from edgeloop.log import Log, forward_standard_logging
from edgeloop.signals import Signals
from edgeloop.supervise import Alone, Parent
from edgeloop.supervise.parent import HUNG_UP

C = TypeVar("C", bound=msgspec.Struct)
T = TypeVar("T")

EXIT_INTERVAL: Final = 20 * 60.0
"""Seconds between two exits for a dead connection: both nuclei give a component up at its third failure in an hour."""
_PATIENCE: Final = 10.0
_PARTING: Final = 2.0
"""Seconds for leaving in order when the nucleus or the run script is gone: its successor waits for this one's lock."""
_START: Final = 5.0
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_SETUP: Final = "setup"
_MARKER: Final = "last-exit"


class App(Generic[C]):
    """A running component. Made by `start`; leaving the `with` block ends it, and turns an exception into one logged
    line and exit code 1 (the traceback only with --debug)."""

    def __init__(self, declaration: Declaration[C], root: Path, debug: bool) -> None:
        self.declaration = declaration
        self.name = declaration.name
        self.root = root
        self.work = self.work_of(declaration.name)
        self.debug = debug
        self.stop = threading.Event()
        self.log = Log(topics.short(self.name), "debug" if debug else "info")
        self._code = 0
        self._signals: Signals | None = None
        self._starting = True
        self._lock = Alone(self.work)
        self._parent = Parent(self._orphaned, heir=self._heir)

    @classmethod
    def start(cls, declaration: Declaration[C], argv: list[str] | None = None) -> Self:
        """Parses the arguments (`--root`, `--debug`), checks the work folder, connects, reads the configuration.

        A nucleus that is absent, or a configuration that is invalid, is a problem in `health`, not an error. Where the
        process cannot run at all (wrong arguments, no access to its folder, not started by a nucleus) it exits.
        """
        arguments = _parser(declaration).parse_args(argv)
        app = cls(declaration, arguments.root.resolve(), arguments.debug)
        try:
            app._begin()
        except EdgeloopError as error:
            app.log.exception(error)
            app._code = 1
            app._end()
            raise SystemExit(1) from None
        return app

    def _begin(self) -> None:
        forward_standard_logging(self.log)
        if threading.current_thread() is threading.main_thread():
            self._signals = Signals(self._signalled)
        threading.excepthook = self._thread_failed
        self._parent.start()
        if not _takes_nothing(self.work):
            self._check_work()
        short = topics.short(self.name)
        dimensions = {"Component": short, "Thing": os.environ.get("AWS_IOT_THING_NAME", "unknown")}
        metrics = MetricFiles(self.work / "metrics", short, dimensions, on_problem=self._problem)
        self.health = Health(
            self.name,
            lambda document: self.bus.publish_document(topics.health(self.name), document),
            metrics=metrics,
            report=self._report,
        )
        self.bus = Bus(name=self.name, on_problem=self._problem, on_refused=self._token_refused)
        secret.asked_of(self.bus.get_secret)
        self.health.show("bus", lambda: self.bus.statistics)
        self.log.info("starting", pid=os.getpid(), python=sys.version.split()[0], root=str(self.root))
        self.bus.__enter__()
        self.bus.wait_connected(_START)
        refused = self._take_work()
        self._live = LiveConfiguration(
            self.declaration.configuration,
            self.bus,
            self.work / "configuration.json",
            self._problem,
            lambda message, fields: self.log.info(message, **fields),
            renamed=self.declaration.renamed,
        )
        self.health.start()
        if refused is not None:
            self._problem(_SETUP, refused)
        self._live.start()
        self._exposed = Exposed(self.health.exposition, self.health.set)
        self._exposed.follow(getattr(self.config, "metrics", ""))
        self._live.listen(lambda configuration: self._exposed.follow(getattr(configuration, "metrics", "")))
        self._starting = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.log.exception(error)
            self._code = 1
        self._end()
        if self._code and not isinstance(error, SystemExit):
            raise SystemExit(self._code) from None

    @property
    def config(self) -> C:
        """The configuration in force, always valid."""
        return self._live.current

    def made(self, make: Callable[[], T]) -> T:
        """What `make` returns. Where files refuse it (a disk that is full or read-only) it is tried again for as long
        as that lasts: the component runs, is degraded and says why. Raises SystemExit once it is told to end.
        """
        pause = BackOff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while not self.stop.is_set():
            try:
                refused = None if self._lock.held else self._take_work()
                if refused is None:
                    found = make()
                    self.health.clear(_SETUP)
                    return found
            except OSError as error:
                where = f" ({error.filename})" if error.filename else ""
                refused = f"the disk refuses what is needed to begin{where}: {error.strerror or error}"
            except EdgeloopError as error:
                refused = f"it cannot begin: {error}"
            self._problem(_SETUP, refused)
            self.stop.wait(pause.failed())
        raise SystemExit(self._code)

    def on_configuration(self, apply: Callable[[C], None]) -> None:
        """Calls `apply` with each configuration after the one that `config` had at the start, on a thread of its own.

        Whatever it raises is a problem in `health`, and what was applied before stays.
        """
        self._live.listen(apply)

    def work_of(self, component: str) -> Path:
        """The work folder of a component."""
        return self.root / "work" / component

    def require(self, path: Path, access: str = "r") -> None:
        """Raises EdgeloopError naming user and path where it may not read ("r"), write ("w") or enter ("x")."""
        flags = {"r": os.R_OK, "w": os.W_OK, "x": os.X_OK}
        words = {"r": "read", "w": "write", "x": "enter"}
        if not path.exists():
            raise EdgeloopError("a path is missing", where=str(path), mend=f"create it for user {user()}")
        for letter in access:
            if not os.access(path, flags[letter], effective_ids=True):
                why = f"user {user()} may not {words[letter]} it"
                raise EdgeloopError("no access", where=str(path), why=why, mend="change its owner, mode or group")

    def need(self, profile: str) -> bool:
        """Waits, bounded, until the Runtime's environment holds a profile; meanwhile health says so. False where it did
        not come, or the component is to end: then what needs it fails by itself."""
        return profiles.wait(profile, self.root, self.stop.wait, self._problem)

    def fail(self, error: BaseException) -> None:
        """Ends the process with exit code 1 after one line: for the unexpected, from any thread."""
        self.log.exception(error)
        self._quit()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _take_work(self) -> str | None:
        """The work folder, checked and for this process alone; why not, where its disk takes nothing at present. Asked
        for when the bus is there: whoever holds it senses until then. Raises EdgeloopError where that is no matter of
        the disk, SystemExit where told to end."""
        try:
            self._check_work()
            alone = self._alone()
        except EdgeloopError as error:
            if not _takes_nothing(self.work):
                raise
            return str(error)
        if not alone:
            self._end()
            raise SystemExit(self._code)
        return None

    def _check_work(self) -> None:
        if not self.work.is_dir():
            try:
                self.work.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                why = f"user {user()}: {error.strerror}"
                raise EdgeloopError("cannot make the work folder", where=str(self.work), why=why) from None
        self.require(self.work, "rwx")

    def _alone(self) -> bool:
        """Waits for another process of this component (of a nucleus that died) to leave; False where told to end."""

        def say(pid: int) -> None:
            who = f"process {pid}" if pid else "another process"
            self.log.warning("%s of this component still runs on this folder: waiting until it has ended", who)

        try:
            return self._lock.take(self.stop, say)
        except OSError as error:
            where = str(self.work)
            raise EdgeloopError("cannot lock the work folder", where=where, why=error.strerror or "") from None

    def _heir(self) -> bool:
        """Whether to leave after a hang-up. What does not sense has nothing to do without a nucleus; what does is
        disarmed by then, for actions come over the nucleus's bus."""
        try:
            return not self.declaration.senses or not self._lock.held or self._lock.asked()
        except OSError:
            return True

    def _orphaned(self, why: str) -> None:
        self._code = HUNG_UP
        self.stop.set()
        self._give_up(_PARTING)
        self.log.warning("%s: leaving, so that its successor can start", why)

    def _problem(self, key: str, line: str | None) -> None:
        self.health.set(key, line)

    def _report(self, key: str, line: str | None) -> None:
        if line is None:
            self.log.info("over: %s", key, problem=key)
        else:
            self.log.warning("%s", line, problem=key)

    def restart(self, why: str) -> bool:
        """Ends the process, to be started anew; whether it does. At most once in 20 minutes: the nucleus must not take
        this for a component that keeps failing. why: one line.
        """
        marker = self.work / _MARKER
        try:
            age = time.time() - marker.stat().st_mtime
        except FileNotFoundError:
            age = EXIT_INTERVAL
        if 0 <= age < EXIT_INTERVAL or self.stop.is_set() or self._parent.hung_up.is_set():
            return False
        try:
            replace(marker, why.encode() + b"\n")
        except OSError as error:
            self._problem("exit", f"not restarted, because {marker} cannot be written: {error.strerror}")
            return False
        self.log.error("%s: exiting to be started anew", why)
        self._quit()
        return True

    def _token_refused(self) -> None:
        if self._lock.held:
            self.restart("the nucleus refuses this process's token")

    def _quit(self) -> None:
        self._code = 1
        self.stop.set()
        self._give_up(_PATIENCE)

    def _give_up(self, patience: float) -> None:
        timer = threading.Timer(patience, os._exit, (self._code,))
        timer.daemon = True
        timer.start()

    def _thread_failed(self, arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
            self.fail(arguments.exc_value)

    def _signalled(self, number: int) -> None:
        self.stop.set()
        if self._starting and hasattr(self, "bus"):
            self.bus.close()

    def _end(self) -> None:
        self.stop.set()
        if hasattr(self, "_live"):
            self._live.close()
            if hasattr(self, "_exposed"):
                self._exposed.close()
            self.health.close()
            if self._parent.hung_up.is_set():
                self._lock.release()
            self.bus.publish_document(topics.health(self.name), self.health.document())
        if hasattr(self, "bus"):
            self.bus.close()
        if self._signals is not None:
            self._signals.close()
        threading.excepthook = threading.__excepthook__
        self.log.info("stopped", code=self._code)


def _takes_nothing(path: Path) -> bool:
    """Whether the disk of a folder, or of the nearest above it, is read-only or full."""
    while not path.exists():
        path = path.parent
    about = os.statvfs(path)
    full = about.f_bavail == 0 or (about.f_files > 0 and about.f_favail == 0)
    return bool(about.f_flag & os.ST_RDONLY) or full


def user() -> str:
    """The name of the user this process runs as."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _parser(declaration: Declaration[Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=declaration.package, description=declaration.description)
    parser.add_argument("--root", type=Path, required=True, help="root folder of the nucleus")
    parser.add_argument("--debug", action="store_true", help="log tracebacks and debug lines")
    return parser
