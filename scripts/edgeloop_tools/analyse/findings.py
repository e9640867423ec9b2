"""The open list of each asset, as one retained message of IoT Core holds it: ≤ 5 kB."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from edgeloop.decode import document
from edgeloop.durable import make_folder, replace
from edgeloop.layout import safe
from edgeloop_tools.analyse.definition import Analysis, Finding

SCHEMA: Final = 1
VALID: Final = 14
"""Days after the last one seen for which a finding holds; then it is dropped where it still stands."""
MOST: Final = 5000
"""Bytes of a message."""
_ORDER: Final = {"high": 0, "medium": 1, "low": 2}


def write(
    folder: Path,
    analysis: Analysis,
    found: Sequence[Finding],
    assets: Sequence[tuple[str, str]],
    valid: int = VALID,
) -> int:
    """folder/<site>/<asset>.json for every asset that was looked at, those without findings too: an empty list clears.
    What other analyses found stays. The revision grows where the list changed, and is no lower than the time in s: in a
    new folder it is newer than all before. valid: days. The number of findings."""
    by: dict[tuple[str, str], list[dict[str, Any]]] = {asset: [] for asset in assets}
    for finding in found:
        by.setdefault((finding.site, finding.asset), []).append(_record(analysis, finding, valid))
    for (site, asset), own in by.items():
        path = folder / safe(site) / f"{safe(asset)}.json"
        known = _known(path)
        others = [f for f in known.get("findings", []) if f.get("analysis") != analysis.name]
        listed = sorted([*others, *own], key=lambda f: (_ORDER[f["severity"]], f["analysis"], f["id"]))
        content = message(site, asset, listed, int(known.get("revision", 0)))
        if known and known == content:
            continue
        content["revision"] = max(content["revision"] + 1, int(time.time()))
        make_folder(path.parent, 0o755)
        replace(path, json.dumps(content, ensure_ascii=False).encode(), 0o644)
    return len(found)


def message(site: str, asset: str, listed: list[dict[str, Any]], revision: int) -> dict[str, Any]:
    """With as many findings as fit, the gravest first; `more`: how many did not."""
    kept = list(listed)
    while True:
        content: dict[str, Any] = {
            "schema": SCHEMA, "revision": revision, "site": site, "asset": asset, "findings": kept,
        }  # fmt: skip
        if len(kept) < len(listed):
            content["more"] = len(listed) - len(kept)
        if len(json.dumps(content, ensure_ascii=False).encode()) <= MOST - 8 or not kept:
            return content
        kept = kept[:-1]


def _record(analysis: Analysis, finding: Finding, valid: int) -> dict[str, Any]:
    about = (analysis.name, finding.device, finding.channel, finding.indicator, finding.kind)
    return {
        "id": hashlib.sha256("\0".join(about).encode()).hexdigest()[:12], "analysis": analysis.name,
        "version": analysis.version, "device": finding.device, "stream": finding.stream, "channel": finding.channel,
        "indicator": finding.indicator, "kind": finding.kind, "severity": finding.severity, "words": finding.words,
        "since": finding.since, "seen": finding.seen,
        "until": f"{date.fromisoformat(finding.seen) + timedelta(days=valid)}",
        "evidence": dict(finding.evidence), "set": dict(finding.set),
    }  # fmt: skip


def _known(path: Path) -> dict[str, Any]:
    try:
        found = document(path.read_bytes(), what="findings", where=str(path))
    except FileNotFoundError:
        return {}
    return found if isinstance(found, dict) else {}
