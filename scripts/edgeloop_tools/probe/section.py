"""A `sources:` section, as the sources' own types take it, with what was seen beside it; a line by itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError, EdgeloopError
from sensor_ingest.sources import Registry


@dataclass(slots=True)
class Proposal:
    """entry: of the source. seen: what was read, by name of a row. rows: the key of the entry that has them. notes:
    lines about what is not in the entry."""

    id: str
    entry: dict[str, Any]
    rows: str
    seen: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def names(texts: Sequence[str]) -> list[str]:
    """Ids of odd names, each once.

    >>> names(["Oil Temp", "oilTemp", "oil temp", "7"])
    ['oil_temp', 'oiltemp', 'oil_temp_2', 'v7']
    """
    found: list[str] = []
    taken: set[str] = set()
    for text in texts:
        base = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:28].rstrip("_") or "value"
        base = base if base[0].isalpha() else f"v{base}"
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        found.append(name)
    return found


def text(proposal: Proposal) -> str:
    """YAML. Raises EdgeloopError where there is nothing to propose, or the source's type refuses it."""
    entry = proposal.entry
    if not entry.get(proposal.rows):
        why = "; ".join(proposal.notes) or "nothing answered"
        raise EdgeloopError("nothing was found to read", where=str(entry.get("url") or entry.get("broker") or ""),
                            why=why)  # fmt: skip
    kind = Registry(lambda line: None).get(entry["type"], "type")
    try:
        convert(entry, kind.options, f"sources.{proposal.id}")
    except ConfigurationError as error:
        raise EdgeloopError("what was found is refused by the source's type", why=str(error)) from None
    lines = [f"# {note}" for note in proposal.notes]
    lines += [f"line: {proposal.id}", "site: plant", "sources:", f"  {proposal.id}:"]
    for key, value in entry.items():
        if key != proposal.rows or not isinstance(value, dict):
            lines += _indented({key: value}, 4)
            continue
        lines.append(f"    {key}:")
        for name, row in value.items():
            shown = _indented({name: row}, 6)
            if name in proposal.seen:
                shown[-1] += f"  # {_line(proposal.seen[name])}"
            lines += shown
    return "\n".join(lines) + "\n"


def _indented(value: dict[str, Any], by: int) -> list[str]:
    """A key and its value on one line."""
    ((key, inner),) = value.items()
    if isinstance(inner, dict):
        flow = yaml.safe_dump(inner, allow_unicode=True, sort_keys=False, width=100_000, default_flow_style=True)
        return [f"{' ' * by}{key}: {flow.strip()}"]
    flow = yaml.safe_dump({key: inner}, allow_unicode=True, width=100_000, default_flow_style=False)
    return [" " * by + line for line in flow.splitlines()]


def _line(text: str) -> str:
    """What others sent is shown, never interpreted: one line, printable."""
    return "".join(c if c.isprintable() else "?" for c in text)[:100]
