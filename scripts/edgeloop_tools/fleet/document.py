"""The deployment of a target: what is there, what shall be there, and what that changes. A new one starts from the
current: what is not ours stays as it is."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from typing import Any

from edgeloop_tools.config import difference
from edgeloop_tools.config.change import Update

Document = dict[str, Any]
"""As CreateDeployment takes it, but for the target."""
KEPT = ("deploymentName", "components", "deploymentPolicies", "iotJobConfiguration", "parentTargetArn", "tags")
LONGEST_RESET = 256


def kept(deployment: Mapping[str, Any]) -> Document:
    """What GetDeployment answers, as far as a next deployment begins with it."""
    return {key: deepcopy(deployment[key]) for key in KEPT if deployment.get(key)}


def merge_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a component's line of a deployment merges."""
    text = entry.get("configurationUpdate", {}).get("merge")
    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}


def with_components(
    current: Document,
    configurations: Mapping[str, Mapping[str, Any]],
    versions: Mapping[str, str],
    ours: Collection[str],
) -> Document:
    """The document with these of our components, each with its version and configuration, and no others of ours."""
    made = deepcopy(current)
    components: dict[str, Any] = made.setdefault("components", {})
    for name in [name for name in components if name in ours and name not in versions]:
        del components[name]
    for name, version in versions.items():
        old = components.get(name, {})
        new = {key: value for key, value in old.items() if key == "runWith"} | {"componentVersion": version}
        if update := _update(old, configurations.get(name, {})):
            new["configurationUpdate"] = update
        components[name] = new
    made["components"] = dict(sorted(components.items()))
    return made


def _update(old: Mapping[str, Any], merge: Mapping[str, Any]) -> dict[str, Any]:
    """Resets come before merges. Those of earlier deployments go on: a device that was away has not seen them."""
    before = old.get("configurationUpdate", {}).get("reset", [])
    found = difference({"": merge_of(old)}, {"": merge}).get("")
    resets = shortest([*before, *(found.reset if found else ())])
    said: dict[str, Any] = {"merge": text_of(merge)} if merge else {}
    return said | ({"reset": resets} if resets else {})


def text_of(merge: Mapping[str, Any]) -> str:
    return json.dumps(merge, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def shortest(pointers: Collection[str]) -> list[str]:
    """Without those below another; what is too long gives way to what holds it.

    >>> shortest(["/a/b", "/a", "/ab", "/c/" + 300 * "d"])
    ['/a', '/ab', '/c']
    """
    fitting = set()
    for pointer in pointers:
        while len(pointer) > LONGEST_RESET:
            pointer = pointer.rpartition("/")[0]
        fitting.add(pointer)
    return sorted(p for p in fitting if not any(p != other and p.startswith(f"{other}/") for other in fitting))


def changes(old: Document, new: Document) -> Iterator[str]:
    """Lines for a person: + new, ~ changed, - gone, = as it is."""
    before, after = old.get("components", {}), new.get("components", {})
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield f"- {name} {before[name].get('componentVersion', '')}"
            continue
        version = after[name]["componentVersion"]
        if name not in before:
            yield f"+ {name} {version}"
        elif before[name] == after[name]:
            yield f"= {name} {version}"
            continue
        else:
            older = before[name].get("componentVersion", "")
            yield f"~ {name} {older} → {version}" if older != version else f"~ {name} {version}"
        yield from (f"    {line}" for line in _configuration(before.get(name, {}), after[name]))
    for key in ("deploymentName", "deploymentPolicies", "iotJobConfiguration"):
        was: Document = {key: old[key]} if key in old else {}
        now: Document = {key: new[key]} if key in new else {}
        update = difference({"": was}, {"": now}).get("")
        yield from (str(change) for change in (update.changes if update else ()))


def _configuration(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    update = difference({"": merge_of(old)}, {"": merge_of(new)}).get("") or Update({})
    yield from map(str, update.changes)
    known = old.get("configurationUpdate", {}).get("reset", [])
    for pointer in new.get("configurationUpdate", {}).get("reset", []):
        if pointer not in known:
            yield f"reset {pointer}"
