"""The local core, where no nucleus is."""

from __future__ import annotations

from pathlib import Path

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.client import CoreClient
from edgeloop_tools.core.control import ControlError
from edgeloop_tools.nucleus.model import OURS, Component, Deployment, Kind, Outcome, Say, tail


class Core:
    """A core that runs at `root`; `deploy` starts one where none does."""

    kind: Kind = "core"

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def version(self) -> str:
        client = CoreClient(self.root)
        try:
            status = client.status()
        except ControlError:
            return ""
        finally:
            client.close()
        return f"{status.get('nucleus', '')} {status.get('version', '')}".strip()

    def components(self) -> list[Component]:
        client = CoreClient(self.root)
        try:
            return [Component(c.name, c.version, c.state, c.reason, c.configuration) for c in client.components()]
        finally:
            client.close()

    def roots(self) -> list[str]:
        client = CoreClient(self.root)
        try:
            return sorted(c.name for c in client.components() if c.root and c.name.startswith(OURS))
        except ControlError as error:
            if error.code != "closed":
                raise
            return []
        finally:
            client.close()

    def deploy(self, work: Deployment, timeout: float, say: Say) -> Outcome:
        """Resets what an earlier line had given and this one has not."""
        from edgeloop_tools.config import difference
        from edgeloop_tools.config.render import own
        from edgeloop_tools.core import daemon
        from edgeloop_tools.core.builtin import RECIPES, STREAM_MANAGER

        core = CoreClient(self.root)
        try:
            known = core.components()
        except ControlError as error:
            core.close()
            if error.code != "closed":
                raise
            core, known = daemon.start(self.root), []
            say(f"started a local core at {self.root}")
        try:
            had = {c.name: own(c.name, dict(c.configuration)) for c in known if c.name in work.merge}
            merge = {name: dict(values) for name, values in work.merge.items()}
            resets = {name: update.reset for name, update in difference(had, merge).items()}
            needed = dict(work.roots)
            if "io.edgeloop.StreamUpload" in needed or "io.edgeloop.Edgeloop" in needed:
                needed[STREAM_MANAGER] = str(RECIPES[STREAM_MANAGER].version)
            folders = (work.recipes, work.artifacts) if needed else (None, None)
            id = core.deploy(needed, merge, resets, work.remove, *folders, failure=work.failure)
            say(f"deployment {id}: {', '.join(f'{n} {v}' for n, v in needed.items())}; packages may be installed first")
            try:
                core.wait(id, timeout)
            except ControlError as error:
                if error.code not in ("deployment_failed", "timeout"):
                    raise
                return Outcome(id, "FAILED" if error.code == "deployment_failed" else "IN_PROGRESS", str(error))
            return Outcome(id, "SUCCEEDED")
        finally:
            core.close()

    def log(self, component: str, lines: int) -> list[str]:
        path = self.root / "logs" / f"{component}.log"
        if not path.exists():
            raise EdgeloopError("no log", where=str(path), mend="`edgeloop component list` shows what there is")
        return tail(path, lines)
