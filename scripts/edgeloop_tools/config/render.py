"""What a nucleus is given: merges and resets, as both command-line programs take them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.config import grants
from edgeloop_tools.config.change import Configurations, Update
from edgeloop_tools.config.grants import ACCESS
from edgeloop_tools.config.outline import declared, full


def updates(components: Configurations, changes: Mapping[str, Update] | None = None) -> dict[str, dict[str, Any]]:
    """Component → {MERGE, RESET}: what `--update-config` of the Greengrass CLI takes. changes: of these alone."""
    if changes is not None:
        return {name: update.request() for name, update in changes.items()}
    return {name: Update(dict(merge)).request() for name, merge in components.items()}


def text(document: Any) -> str:
    """The same for the same content."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write(folder: Path, documents: Mapping[str, dict[str, Any]]) -> list[Path]:
    """`<component>.json` of each update, and all of them in `update-config.json`."""
    files = {f"{name}.json": document for name, document in documents.items()}
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, document in (*sorted(files.items()), ("update-config.json", dict(documents))):
            path = folder / name
            path.write_text(text(document))
            written.append(path)
    except OSError as error:
        raise EdgeloopError("cannot write", where=str(folder), why=error.strerror or str(error)) from error
    return written


def previous(path: Path) -> Configurations:
    """What was before: a line.yaml, or JSON of component → configuration.

    The JSON may be what `config render` wrote, a deployment's `components`, or what a device has; what in it is the
    recipe's default is left out, as it is no one's to reset. Components of which it says no more than the site are not
    there: nothing of them was deployed.
    """
    from edgeloop_tools.config.line import runs

    if path.suffix.lower() != ".json":
        from edgeloop_tools.config.line import load

        return load(path).configured()
    try:
        said = json.loads(path.read_bytes())
    except OSError as error:
        raise EdgeloopError("cannot read the file", where=str(path), why=error.strerror or str(error)) from None
    except (ValueError, RecursionError) as error:
        raise EdgeloopError("no JSON", where=str(path), why=str(error)) from None
    if isinstance(said, dict) and isinstance(said.get("components"), dict):
        said = said["components"]
    if not isinstance(said, dict):
        raise _wrong(path, "it is no map of components")
    found = {full(str(name)): _configuration(entry, name, path) for name, entry in said.items()}
    whole = any(c.get(ACCESS, {}) != grants.own(c.get(ACCESS)) for c in found.values())
    before = {name: own(name, configuration) if whole else configuration for name, configuration in found.items()}
    return {name: configuration for name, configuration in before.items() if runs(name, configuration)}


def _configuration(entry: Any, name: str, path: Path) -> dict[str, Any]:
    if isinstance(entry, dict):
        entry = entry.get("configurationUpdate", entry) or {}
    if isinstance(entry, dict) and set(entry) <= {"MERGE", "RESET", "merge", "reset", "componentVersion", "runWith"}:
        entry = entry.get("MERGE", entry.get("merge", {}))
        if isinstance(entry, str):
            try:
                entry = json.loads(entry)
            except ValueError:
                raise _wrong(path, f"the merge of {name} is no JSON") from None
    if not isinstance(entry, dict):
        raise _wrong(path, f"{name} is no map of settings")
    return entry


def own(name: str, configuration: dict[str, Any]) -> dict[str, Any]:
    """Of what a device has, what a deployment gave it."""
    from edgeloop.config.schema import defaults

    declaration = declared().get(name)
    given = {key: value for key, value in configuration.items() if key != ACCESS}
    if granted := grants.own(configuration.get(ACCESS)):
        given[ACCESS] = granted
    return _without(given, defaults(declaration.configuration)) if declaration else given


def _without(value: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without the leaves that are as the defaults say."""
    from edgeloop_tools.config.change import same

    kept: dict[str, Any] = {}
    for key, entry in value.items():
        default = defaults.get(key)
        if isinstance(entry, Mapping) and isinstance(default, Mapping):
            if inner := _without(entry, default):
                kept[key] = inner
        elif key not in defaults or not same(entry, default):
            kept[key] = entry
    return kept


def _wrong(path: Path, why: str) -> EdgeloopError:
    return EdgeloopError(
        "no configuration of components", where=str(path), why=why, mend='write {"io.edgeloop.SensorIngest": {…}}'
    )
