"""Console: what it reads, what it keeps, and the page that shows it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from console.api.routes import Api, needed
from console.audit import Audit
from console.budgets import ReturnTimes
from console.commands import Commands
from console.configuration import Certificate, Configuration, Oidc, address
from console.hub import Hub
from console.line import Line
from console.live import Live
from console.operator_socket import NAME as SOCKET
from console.operator_socket import OperatorSocket
from console.signals.recorder import Recorder
from edgeloop.component import App
from edgeloop.errors import EdgeloopError
from edgeloop.secret import first_line
from edgeloop_web.application import application
from edgeloop_web.assets import Assets
from edgeloop_web.server import WebServer
from edgeloop_web.sessions import Sessions
from edgeloop_web.users import Role, Users

if TYPE_CHECKING:
    from edgeloop_web.oidc import Provider

USERS = "users.json"


class Console:
    """Everything of the component; `step` is called once a second."""

    def __init__(self, app: App[Configuration]) -> None:
        self.app = app
        self.device = os.environ.get("AWS_IOT_THING_NAME") or "unknown"
        self.hub = Hub()
        self.live = Live(app.root, self.hub, app.health.set)
        self.line = Line(app.root, self.live)
        self.audit = Audit(app.work / "audit.jsonl", app.health.set)
        self.commands = Commands(app.bus, self.live, self.audit, self.device)
        self.recorder = Recorder(app.root, app.work / "signals", self.hub, app.health.set)
        self.returns = ReturnTimes(app.work / "return_times.json", app.health.set)
        self.users = Users(app.work / USERS)
        self.sessions = Sessions(app.work / "sessions.json")
        self.assets = Assets(
            ("console", "static"), ("edgeloop_web", "static"), ("edgeloop_web", "vendored")
        )
        self._operators = OperatorSocket(app.work / SOCKET, self.commands, self.live, self.line)
        self._server: WebServer | None = None
        self._served: tuple[str, str | Certificate, str | Oidc] | None = None
        self._configuration = app.config

    def __enter__(self) -> Console:
        self.recorder.apply(self._configuration, self.line.watched())
        self.live.start(self.app.bus)
        self.recorder.start(self.app.bus)
        self._operators.start()
        self.step()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self._operators.close()
        self.recorder.close()
        self.returns.save()

    @property
    def site(self) -> str:
        return self._configuration.site

    @property
    def url(self) -> str:
        return self._server.url if self._server else ""

    def apply(self, configuration: Configuration) -> None:
        """Takes a new configuration, from any thread; the page is moved with the next step."""
        self._configuration = configuration

    def step(self) -> None:
        configuration = self._configuration
        self.recorder.apply(configuration, self.line.watched())
        self.returns.look(self.live)
        wanted = configuration.listen, configuration.tls, configuration.oidc
        if wanted != self._served:
            try:
                self._serve(configuration)
            except EdgeloopError as error:
                self.app.health.problem("page", str(error))
                return
            self.app.health.clear("page")
            self._served = wanted
        self.app.health.gauge("pages", self.hub.pages)

    def _serve(self, configuration: Configuration) -> None:
        if self._server is not None:
            self._server.close()
            self._server, self._served = None, None
        host, port = address(configuration.listen)
        tls = self._certificate(configuration, host)
        app = application(
            Api(self).routes(), self.assets, self.users, self.sessions,
            needed=needed, audit=self.audit.write, secure=tls is not None, provider=_provider(configuration.oidc),
        )  # fmt: skip
        self._server = WebServer(app, host, port, tls)
        self._server.start()
        self.app.log.info("the page is at", url=self._server.url, users=len(self.users.all()))
        if tls is not None:
            from edgeloop_web.tls import fingerprint

            self.app.log.info("its certificate", sha256=fingerprint(tls[0]))

    def _certificate(self, configuration: Configuration, host: str) -> tuple[Path, Path] | None:
        if configuration.tls == "none":
            return None
        from edgeloop_web.tls import readable, self_signed

        if isinstance(configuration.tls, Certificate):
            files = Path(configuration.tls.certificate), Path(configuration.tls.key)
            for path in files:
                readable(path)
            return files
        return self_signed(self.app.work / "tls", host)


def _provider(oidc: str | Oidc) -> Provider | None:
    """Raises EdgeloopError where its secret cannot be read."""
    if isinstance(oidc, str):
        return None
    from edgeloop_web.oidc import Provider, Settings

    groups: dict[Role, frozenset[str]] = {
        "viewer": _words(oidc.viewers), "operator": _words(oidc.operators), "engineer": _words(oidc.engineers),
    }  # fmt: skip
    secret = first_line(oidc.secret_file, "the client's secret") if oidc.secret_file else ""
    return Provider(Settings(oidc.issuer, oidc.client, secret, oidc.claim, groups, oidc.page))


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(",") if word.strip())
