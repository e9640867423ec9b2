"""What a candidate said beside the model that serves, on a device's own input."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from edgeloop import clock
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from edgeloop.models.shadow import Comparison, comparisons

MOST = 10
"""Subjects named that were judged otherwise."""


def compare(root: Path, name: str, last: str) -> dict[str, Any]:
    """Figures of the newest candidate. Raises EdgeloopError where nothing was compared."""
    try:
        since = clock.now() - int(Duration(last))
    except ValueError as error:
        raise EdgeloopError("--last is no span of time", where=last, why=str(error), mend="such as 1d or 2h") from None
    found = sorted(comparisons(root, name, since), key=lambda each: each.time)
    if not found:
        mend = f"name a candidate, models.{name}.shadow, and wait until cameras have seen something"
        raise EdgeloopError("nothing was compared", where=f"{name} below {root}", why=f"in the last {last}", mend=mend)
    newest = found[-1]
    return figures([each for each in found if (each.active, each.digest) == (newest.active, newest.digest)])


def figures(found: list[Comparison]) -> dict[str, Any]:
    """Of one candidate beside one version.

    >>> from edgeloop.models.shadow import Said
    >>> said = {"time": 1, "source": "gate", "active": "1.0.0", "candidate": "1.1.0", "digest": "0" * 64}
    >>> pair = Comparison(one=Said("pass", score=0.1), other=Said("fail", score=0.9), subject="p1", **said)
    >>> {key: figures([pair])[key] for key in ("inputs", "agree", "pairs")}
    {'inputs': 1, 'agree': 0.0, 'pairs': {'pass -> fail': 1}}
    """
    pairs = Counter((each.one.verdict, each.other.verdict) for each in found)
    agree = sum(count for (one, other), count in pairs.items() if one == other)
    unlike = [each for each in found if each.one.verdict != each.other.verdict]
    return {
        "active": found[0].active,
        "candidate": found[0].candidate,
        "digest": found[0].digest,
        "inputs": len(found),
        "agree": round(agree / len(found), 4),
        "pairs": {f"{one} -> {other}": count for (one, other), count in pairs.most_common()},
        "score_difference": round(median(abs(each.one.score - each.other.score) for each in found), 4),
        "ms": round(median(each.other.ms for each in found), 2),
        "sources": dict(Counter(each.source for each in found)),
        "otherwise": [
            {"source": each.source, "part": each.subject, "time": clock.rfc3339(each.time),
             "verdicts": f"{each.one.verdict} -> {each.other.verdict}", "why": each.other.label}
            for each in unlike[-MOST:]
        ],
    }  # fmt: skip


def text(name: str, found: dict[str, Any]) -> str:
    lines = [
        f"{name}: {found['candidate']} beside {found['active']}, {found['inputs']:,} pictures of "
        f"{', '.join(found['sources'])}",
        f"  the same verdict     {found['agree']:.1%}",
        *(f"  {pair:<20} {count:,}" for pair, count in found["pairs"].items()),
        f"  scores differ by     {found['score_difference']:.3f} (median)",
        f"  the candidate takes  {found['ms']:.1f} ms (median)",
    ]
    lines += [f"  {each['verdicts']}: {each['source']} {each['part'] or each['time']}" for each in found["otherwise"]]
    return "\n".join(lines)
