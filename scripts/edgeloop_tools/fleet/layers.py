"""A device's own layer over its thing group's, and what comes of all layers together.

A group's and a thing's deployment reach a device each by itself; where both set a leaf, the classic nucleus keeps the
one whose deployment is younger, lite the one handled last. So a device's deployment follows every one of its group,
and holds the leaves in which the device differs. A leaf once held stays held: else the device would keep its old value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.config.change import Configurations, difference, pointer
from edgeloop_tools.fleet.document import Document, merge_of, shortest, text_of

Leaves = dict[str, Any]


def leaves(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """(JSON pointer, leaf); an empty map is a leaf.

    >>> dict(leaves({"a": {"b": 1, "c": {}}}))
    {'/a/b': 1, '/a/c': {}}
    """
    for key, inner in value.items():
        here = pointer(above, key)
        if isinstance(inner, Mapping) and inner:
            yield from leaves(inner, here)
        else:
            yield here, inner


def tree(found: Mapping[str, Any]) -> dict[str, Any]:
    """
    >>> tree({"/a/b": 1, "/a/c~1d": 2})
    {'a': {'b': 1, 'c/d': 2}}
    """
    made: dict[str, Any] = {}
    for where, value in found.items():
        keys = [key.replace("~1", "/").replace("~0", "~") for key in where.split("/")[1:]]
        node = made
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1]] = value
    return made


def device_document(
    thing: str, current: Document, group: Configurations, device: Configurations, versions: Mapping[str, str],
    ours: frozenset[str],
) -> Document:  # fmt: skip
    """What the thing's own deployment becomes. group, device: its configuration without and with the overlay."""
    if gone := sorted(set(group) - set(device)):
        why = f"{', '.join(gone)}: a device has all components of its group"
        raise EdgeloopError("an overlay takes a component away", where=thing, why=why)
    differing = difference(group, device)
    components = {name: entry for name, entry in current.get("components", {}).items() if name not in ours}
    for name in sorted(versions):
        old = current.get("components", {}).get(name, {})
        wanted = dict(leaves(device.get(name, {})))
        update = differing.get(name)
        held = {change.pointer for change in update.changes if change.pointer in wanted} if update else set()
        before = dict(leaves(merge_of(old)))
        held |= before.keys() & wanted.keys()
        resets = [*old.get("configurationUpdate", {}).get("reset", []), *(update.reset if update else ())]
        resets += before.keys() - wanted.keys()
        if not held and not resets:
            continue
        entry = {key: value for key, value in old.items() if key == "runWith"}
        entry |= {"componentVersion": versions[name], "configurationUpdate": {}}
        if held:
            entry["configurationUpdate"]["merge"] = text_of(tree({where: wanted[where] for where in sorted(held)}))
        if resets:
            entry["configurationUpdate"]["reset"] = shortest(resets)
        components[name] = entry
    return {**current, "components": dict(sorted(components.items()))}


def released(current: Document, ours: frozenset[str]) -> Document:
    """Without our components: while a group's versions change, nothing may hold the old ones."""
    components = {name: entry for name, entry in current.get("components", {}).items() if name not in ours}
    return {**current, "components": components}


def effective(
    defaults: Configurations, group: Configurations, device: Configurations
) -> Iterator[tuple[str, str, str, Any]]:
    """(component, pointer, layer, value) of a device that has had no other configuration."""
    for name in sorted(group.keys() | device.keys()):
        given, common = dict(leaves(device.get(name, {}))), dict(leaves(group.get(name, {})))
        below = dict(leaves({k: v for k, v in defaults.get(name, {}).items() if k != "accessControl"}))
        for where in sorted(below.keys() | given.keys()):
            if where not in given:
                if not any(other.startswith(f"{where}/") or where.startswith(f"{other}/") for other in given):
                    yield name, where, "recipe", below[where]
            elif where in common and common[where] == given[where]:
                yield name, where, "group", given[where]
            else:
                yield name, where, "device", given[where]
